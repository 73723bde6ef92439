-- The customer profile: a customer a row.
select
    customer_id,
    c.name as country,
    o.orders,
    o.revenue,
    o.last_order_date,
    o.days_since_last_order
from features.orders as o
left join reference.countries as c on c.code = o.country_code
left join features.orders as p on p.customer_id = o.customer_id
