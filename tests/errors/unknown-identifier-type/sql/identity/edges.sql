-- Pairs of identifiers that were seen together.
with orders as (
    select
        'custmer' as kind,
        customer_id,
        case when country = 'GB' then 'email' else 'mail' end as other_kind,
        order_id
    from staging.orders
)

select
    kind as identifier_type,
    customer_id as identifier,
    other_kind as other_type,
    order_id as other,
    'order' as source,
    cast(null as timestamp) as first_seen_at,
    cast(null as timestamp) as last_seen_at,
    cast(null as timestamp) as ended_at
from orders

union all

select 'customer', order_id, 'phone', customer_id, 'order', null, null, null
from staging.orders
