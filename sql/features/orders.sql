-- Why: what a customer buys: over all time, and within the RFM window.
-- A row: one customer with at least one order or refund.
-- The window is the $rfm_window_days days before the as-of day. Refunds do not lower
-- frequency or monetary; they are told apart, in refunded and net_lifetime.
with orders as (
    select
        i.customer_id,
        o.order_date,
        o.country,
        o.is_sale,
        o.is_sale and o.order_date >= $as_of - $rfm_window_days as in_window,
        o.gross_amount,
        o.refunded_amount
    from staging.orders as o
    inner join identity.customers as i
        on i.identifier_type = o.identifier_type
        and i.identifier = o.identifier
),

totals as (
    select
        customer_id,
        count(*) filter (where is_sale) as lifetime_orders,
        min(order_date) filter (where is_sale) as first_order_date,
        max(order_date) filter (where is_sale) as last_order_date,
        -- The country of the last sale, not of a cancellation; the date has ten characters, a bar follows.
        substr(
            max(concat(cast(order_date as varchar), '|', country)) filter (where is_sale and country is not null),
            12
        ) as country,
        cast(sum(gross_amount) as decimal(18, 3)) as gross_lifetime,
        cast(sum(refunded_amount) as decimal(18, 3)) as refunded,
        max(order_date) filter (where in_window) as last_window_date,
        count(*) filter (where in_window) as frequency,
        cast(coalesce(sum(gross_amount) filter (where in_window), 0) as decimal(18, 3)) as monetary
    from orders
    group by customer_id
)

select
    customer_id,
    lifetime_orders,
    first_order_date,
    last_order_date,
    $as_of - last_order_date as days_since_last_order,
    country,
    cast(gross_lifetime / nullif(lifetime_orders, 0) as decimal(18, 2)) as average_order_value,
    cast(
        cast(last_order_date - first_order_date as decimal(9, 0)) / nullif(lifetime_orders - 1, 0) as decimal(9, 1)
    ) as average_days_between_orders,
    gross_lifetime,
    refunded,
    cast(gross_lifetime - refunded as decimal(18, 3)) as net_lifetime,
    $as_of - last_window_date as recency_days,
    frequency,
    monetary
from totals
