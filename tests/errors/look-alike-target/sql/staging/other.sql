-- An order a row, with the day as a text.
select
    customer_id,
    amount,
    cast(ordered_at as text) as days_since_last_order
from sources.orders
