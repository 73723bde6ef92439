-- The customer profile: a customer a row.
select
    o.customer_id,
    c.name as country,
    o.orders,
    o.revenue,
    o.last_order_date,
    o.days_since_last_order,
    (select max(price) from staging.prices) as top_price
from features.orders as o
left join reference.countries as c on c.code = o.country_code
