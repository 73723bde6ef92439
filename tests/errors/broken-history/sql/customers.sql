-- The customer profile: a customer a row.
select
    o.customer_id,
    c.name as country,
    o.orders,
    o.revenue,
    o.last_order_date,
    o.days_since_last_order,
    p.expected_orders_30d
from features.orders as o
left join reference.countries as c on c.code = o.country_code
left join predicted.worth as p on p.customer_id = o.customer_id
