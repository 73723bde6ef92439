-- The customer profile: a customer a row.
select
    o.customer_id,
    c.name as country,
    o.orders,
    o.revenue,
    o.last_order_date,
    o.days_since_last_order
from features.orders as o
left join reference.countries as c on c.code = o.country_code
where o.last_order_date + o.country_code > 5
