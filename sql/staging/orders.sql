-- Why: order lines mix sales with cancellations; all that follows counts whole orders.
-- A row: one order of one identified customer, with what it sold and what it took back.
-- A line is a sale when it sells goods at a price and is not part of a cancellation (C...).
-- Every other line, whatever its sign, is a refund of minus its amount.
with lines as (
    select
        customer_id,
        order_id,
        ordered_at,
        -- Orders say 'Unspecified' where nothing is known.
        nullif(country, 'Unspecified') as country,
        quantity * unit_price as amount,
        (quantity > 0 and unit_price > 0 and order_id not like 'C%') as is_sale
    from sources.orders
    where customer_id is not null
)

select
    'customer' as identifier_type,
    customer_id as identifier,
    order_id,
    cast(min(ordered_at) as date) as order_date,
    min(ordered_at) as first_ordered_at,
    max(ordered_at) as last_ordered_at,
    max(country) as country,
    bool_or(is_sale) as is_sale,
    cast(coalesce(sum(amount) filter (where is_sale), 0) as decimal(18, 3)) as gross_amount,
    cast(-coalesce(sum(amount) filter (where not is_sale), 0) as decimal(18, 3)) as refunded_amount
from lines
group by
    customer_id,
    order_id
