-- A customer a row: what the orders say.
with by_customer as (
    select
        customer_id,
        array_agg(country order by country) as countries,
        sum(amount) as revenue,
        max(order_date) as last_order_date
    from staging.orders
    group by customer_id
),

by_country as (
    select customer_id, revenue, last_order_date, unnest(countries) as country
    from by_customer
)

select
    customer_id,
    max(country) as country_code,
    count(*) as orders,
    max(revenue) as revenue,
    max(last_order_date) as last_order_date,
    $as_of - max(last_order_date) as days_since_last_order
from by_country
group by customer_id
