-- A customer a row: what the orders say.
select
    customer_id,
    any_value(country) as country_code,
    count(*) as orders,
    sum(amount) as revenue,
    approx_median(amount) as typical,
    max(order_date) as last_order_date,
    $as_of - max(order_date) as days_since_last_order
from staging.orders
group by customer_id
