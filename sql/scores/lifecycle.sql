-- Why: where a customer stands between the first order and the last.
-- A row: one customer with at least one order or refund; everybody else is a prospect.
select
    o.customer_id,
    case
        when o.lifetime_orders = 0 then 'prospect'
        when o.days_since_last_order > $lapsed_after_days then 'lapsed'
        when o.days_since_last_order > $lapsing_after_days then 'lapsing'
        when r.last_return_date >= $as_of - $lapsing_after_days then 'won_back'
        when o.first_order_date >= $as_of - $new_for_days then 'new'
        else 'active'
    end as lifecycle_stage
from features.orders as o
left join features.returns as r
    on r.customer_id = o.customer_id
