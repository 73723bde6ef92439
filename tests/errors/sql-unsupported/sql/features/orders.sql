-- A customer a row: what the orders say.
select
    customer_id,
    (
        select earlier.country
        from staging.orders as earlier
        where earlier.customer_id = o.customer_id
        order by earlier.order_date
        limit 1
    ) as country_code,
    orders,
    revenue,
    last_order_date,
    $as_of - last_order_date as days_since_last_order
from (
    select customer_id, count(*) as orders, sum(amount) as revenue, max(order_date) as last_order_date
    from staging.orders
    group by customer_id
) as o
