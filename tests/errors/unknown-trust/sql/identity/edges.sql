-- Pairs of identifiers that were seen together.
select
    'customer' as identifier_type,
    customer_id as identifier,
    'order' as other_type,
    order_id as other,
    case when country = 'GB' then 'crm' else 'order' end as source,
    cast(null as timestamp) as first_seen_at,
    cast(null as timestamp) as last_seen_at,
    cast(null as timestamp) as ended_at
from staging.orders

union all

select 'customer', customer_id, 'order', order_id, null, null, null, null
from staging.orders
