-- Why: every system knows a person by other identifiers; pairs of them that were seen together say who is one person.
-- A row: two identifiers seen together, or (where other is null) one that was seen: in which source, first and last,
-- and when the pair ended. From these rows the identity step finds the customers: see `identity:` in the pipeline file.
select
    identifier_type,
    identifier,
    'customer' as other_type,
    contact_id as other,
    'crm' as source,
    first_seen_at,
    last_seen_at,
    given_up_at as ended_at
from staging.contact_identifiers
union all
select
    'visitor' as identifier_type,
    visitor_id as identifier,
    'customer' as other_type,
    user_id as other,
    'login' as source,
    first_seen_at,
    last_seen_at,
    cast(null as timestamptz) as ended_at
from staging.web_logins
union all
-- Contacts without any of the above, and who ordered without being a contact.
select
    'customer' as identifier_type,
    contact_id as identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'crm' as source,
    first_seen_at,
    updated_at as last_seen_at,
    cast(null as timestamptz) as ended_at
from staging.contacts
union all
select
    identifier_type,
    identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'order' as source,
    min(first_ordered_at) as first_seen_at,
    max(last_ordered_at) as last_seen_at,
    cast(null as timestamptz) as ended_at
from staging.orders
group by
    identifier_type,
    identifier
union all
-- Subscribers and respondents whom nobody else knows are customers too.
select
    identifier_type,
    identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'message' as source,
    first_message_at as first_seen_at,
    first_message_at as last_seen_at,
    cast(null as timestamptz) as ended_at
from staging.message_addresses
union all
select
    identifier_type,
    identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'survey' as source,
    min(responded_at) as first_seen_at,
    max(responded_at) as last_seen_at,
    cast(null as timestamptz) as ended_at
from staging.survey_answers
group by
    identifier_type,
    identifier
union all
-- So are anonymous visitors, if asked for.
select
    'visitor' as identifier_type,
    visitor_id as identifier,
    cast(null as varchar) as other_type,
    cast(null as varchar) as other,
    'web' as source,
    first_seen_at,
    last_seen_at,
    cast(null as timestamptz) as ended_at
from staging.anonymous_visitors
