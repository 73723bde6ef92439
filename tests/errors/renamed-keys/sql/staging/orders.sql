-- An order a row, those of guests left out.
select
    order_id,
    customer_id,
    country,
    amount,
    cast(ordered_at as date) as order_date
from sources.orders
where identifier(customer_id, $null_words) is not null
