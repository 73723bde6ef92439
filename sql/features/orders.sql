-- Why: what a customer buys: over all time, and within the RFM window.
-- A row: one customer with at least one order or refund.
-- The window is the $rfm_window_days days before the as-of day. Refunds do not lower
-- frequency or monetary; they have columns of their own, refunded and net_lifetime.
with orders as (
    select
        owner.customer_id,
        orders.order_date,
        orders.country,
        orders.is_sale,
        (orders.is_sale and orders.order_date >= $as_of - $rfm_window_days) as in_window,
        orders.gross_amount,
        orders.refunded_amount
    from staging.orders as orders
    inner join identity.customers as owner
        on owner.identifier_type = orders.identifier_type
        and owner.identifier = orders.identifier
),

totals as (
    select
        customer_id,
        count(*) filter (where is_sale) as lifetime_orders,
        min(order_date) filter (where is_sale) as first_order_date,
        max(order_date) filter (where is_sale) as last_order_date,
        -- Of the last sale that names one, not of a cancellation.
        arg_max(country, order_date) filter (where is_sale) as country,
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
