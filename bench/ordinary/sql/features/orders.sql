-- A row: one customer with an order in the window.
select
    people.customer_id,
    $as_of - cast(max(orders.ordered_at) as date) as recency_days,
    count(distinct orders.order_id) as orders,
    sum(orders.products) as products,
    sum(orders.revenue) as revenue
from staging.orders as orders
inner join resolved.customers as people
    on people.identifier_type = 'customer'
    and people.identifier = orders.customer_id
where cast(orders.ordered_at as date) >= $as_of - $window_days
group by people.customer_id
