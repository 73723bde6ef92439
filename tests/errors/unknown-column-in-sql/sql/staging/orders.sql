-- Orders.
select
    order_id,
    customer_id,
    contry as country,
    amount,
    cast(ordered_at as date) as order_date
from sources.orders
