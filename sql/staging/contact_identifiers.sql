-- Why: events carry an address, not a contact; an old address still names the person who had it.
-- A row: one e-mail address, phone number or loyalty card that one contact has, or has had: since when, when it was
-- given last, and when a later version of the contact left it out (null while none has).
with identifiers as (
    select
        contact_id,
        updated_at,
        replaced_at,
        'email' as identifier_type,
        email as identifier
    from staging.contact_versions
    where email is not null
    union all
    select
        contact_id,
        updated_at,
        replaced_at,
        'phone' as identifier_type,
        phone as identifier
    from staging.contact_versions
    where phone is not null
    union all
    select
        contact_id,
        updated_at,
        replaced_at,
        'card' as identifier_type,
        card as identifier
    from staging.contact_versions
    where card is not null
)

select
    contact_id,
    identifier_type,
    identifier,
    min(updated_at) as first_seen_at,
    max(updated_at) as last_seen_at,
    -- In the contact's newest version nothing has replaced it.
    case when count(*) = count(replaced_at) then max(replaced_at) end as given_up_at
from identifiers
group by
    contact_id,
    identifier_type,
    identifier
