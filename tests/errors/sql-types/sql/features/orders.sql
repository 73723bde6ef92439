-- A customer a row: what the orders say.
select
    customer_id,
    date_trunc(5, country) as country_code,
    count(*) as orders,
    sum(amount + ordered) as revenue,
    max(order_date) as last_order_date,
    $as_of - max(order_date) as days_since_last_order
from staging.orders
group by customer_id
