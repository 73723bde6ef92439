-- A customer a row: what the orders say.
select
    customer_id,
    max(country) as country_code,
    count(*) as orders,
    sum(amount) as revenue,
    max(order_date) as last_order_date,
    current_date - max(order_date) as days_since_last_order
from staging.orders tablesample bernoulli (10)
group by customer_id
