-- Why: where a customer stands between the first order and the last.
-- A row: one customer with at least one order or refund; everybody else is a prospect.
select
    orders.customer_id,
    case
        when orders.lifetime_orders = 0 then 'prospect'
        when orders.days_since_last_order > $lapsed_after_days then 'lapsed'
        when orders.days_since_last_order > $lapsing_after_days then 'lapsing'
        when returns.last_return_date >= $as_of - $lapsing_after_days then 'won_back'
        when orders.first_order_date >= $as_of - $new_for_days then 'new'
        else 'active'
    end as lifecycle_stage
from features.orders as orders
left join features.returns as returns
    on returns.customer_id = orders.customer_id
