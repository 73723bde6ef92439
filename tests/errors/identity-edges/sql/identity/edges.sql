-- Pairs of identifiers that were seen together.
select
    'customer' as identifier_type,
    customer_id as identifier,
    cast(null as varchar) as other_type,
    7 as other,
    'order' as source,
    'yesterday' as first_seen_at,
    cast(null as timestamp) as last_seen_at
from staging.orders
