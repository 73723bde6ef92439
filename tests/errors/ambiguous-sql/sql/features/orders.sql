-- A customer a row: what the orders say.
with known as (
    select *
    from staging.orders
    where country is distinct from 'FR' and amount > 0
),

others as (
    select customer_id from known
    except all
    select customer_id from staging.orders where country = 'DE'
)

select
    customer_id,
    max(country) as country_code,
    count(*) + 2 ^ 3 as orders,
    sum(amount) as revenue,
    max(order_date) as last_order_date,
    $as_of - max(order_date) as days_since_last_order
from known
where customer_id in (select customer_id from others)
    and not exists (select 1 from others where customer_id = 'c1') is null
group by customer_id
