-- Why: who is like the champions without being one, by what says nothing of when or how often they buy.
-- A row: one customer with at least one order.
-- The rules of the set `value` read the first columns; the others are compared: see `look_alikes` in the pipeline file.
select
    orders.customer_id,
    orders.lifetime_orders > 0 as has_orders,
    rfm.frequency,
    rfm.r_score,
    rfm.f_score,
    orders.gross_lifetime as spent,
    coalesce(products.products, 0) as products,
    orders.average_order_value,
    $as_of - orders.first_order_date as days_known
from features.orders as orders
inner join scores.rfm as rfm
    on rfm.customer_id = orders.customer_id
left join features.products as products
    on products.customer_id = orders.customer_id
where orders.lifetime_orders > 0
