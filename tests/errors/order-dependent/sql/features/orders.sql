-- A customer a row: what the orders say.
with latest as (
    select distinct on (customer_id) customer_id, country as latest_country from staging.orders
),
numbered as (
    select
        *,
        row_number() over () as position,
        sum(amount) over (partition by customer_id rows between 2 preceding and current row) as recent,
        last_value(country) over (partition by customer_id order by order_date) as last_country
    from staging.orders
),
few as (select customer_id from staging.orders limit 100)
select
    n.customer_id,
    first_value(country) as country_code,
    count(*) as orders,
    sum(amount) as revenue,
    string_agg(country, ',') as countries,
    array_agg(position order by position) as positions,
    max(order_date) as last_order_date,
    $as_of - max(order_date) as days_since_last_order
from numbered as n
inner join few as f on f.customer_id = n.customer_id
inner join latest as l on l.customer_id = n.customer_id
group by n.customer_id
