-- A row: one order of a known customer that was not cancelled.
select
    order_id,
    customer_id,
    min(ordered_at) as ordered_at,
    count(distinct product_code) as products,
    sum(quantity * unit_price) as revenue
from sources.orders
where customer_id is not null
    and order_id not like 'C%'
group by order_id, customer_id
