-- Why: the CRM knows numbers and addresses, the site knows visitors and who logged in.
-- A row: two identifiers seen together.
select
    'customer' as identifier_type,
    contact_id as identifier,
    'email' as other_type,
    email as other,
    'crm' as source,
    updated_at as first_seen_at,
    updated_at as last_seen_at,
    cast(null as timestamp) as ended_at
from staging.contacts
union all
select
    'visitor' as identifier_type,
    visitor_id as identifier,
    'customer' as other_type,
    user_id as other,
    'login' as source,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at,
    cast(null as timestamp) as ended_at
from sources.web
where user_id is not null
group by visitor_id, user_id
union all
select
    'customer' as identifier_type,
    customer_id as identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'order' as source,
    min(ordered_at) as first_seen_at,
    max(ordered_at) as last_seen_at,
    cast(null as timestamp) as ended_at
from staging.orders
group by customer_id
union all
select
    'email' as identifier_type,
    email as identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'message' as source,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at,
    cast(null as timestamp) as ended_at
from staging.emails
group by email
