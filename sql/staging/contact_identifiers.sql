-- Why: events carry an address, not a contact; an old address still names the person who had it.
-- A row: one e-mail address, phone number or loyalty card and one time during which one contact had it: since when,
-- when a version of the contact gave it last, and when a later version left it out (null while none has).
-- An address that is given up and had again has a row for each time, for somebody else may have had it in between.
with versions as (
    select
        contact_id,
        updated_at,
        lag(updated_at) over (partition by contact_id order by updated_at) as previous_at,
        max(updated_at) over (partition by contact_id) as newest_at,
        email,
        lag(email) over (partition by contact_id order by updated_at) as previous_email,
        phone,
        lag(phone) over (partition by contact_id order by updated_at) as previous_phone,
        card,
        lag(card) over (partition by contact_id order by updated_at) as previous_card
    from staging.contact_versions
),

-- The versions that say something else than the one before, be it nothing.
changes as (
    select
        contact_id,
        updated_at,
        previous_at,
        newest_at,
        'email' as identifier_type,
        email as identifier
    from versions
    where email is distinct from previous_email
    union all
    select
        contact_id,
        updated_at,
        previous_at,
        newest_at,
        'phone' as identifier_type,
        phone as identifier
    from versions
    where phone is distinct from previous_phone
    union all
    select
        contact_id,
        updated_at,
        previous_at,
        newest_at,
        'card' as identifier_type,
        card as identifier
    from versions
    where card is distinct from previous_card
),

tenures as (
    select
        contact_id,
        identifier_type,
        identifier,
        updated_at as first_seen_at,
        -- The last version before the next change.
        coalesce(
            lead(previous_at) over (partition by contact_id, identifier_type order by updated_at),
            newest_at
        ) as last_seen_at,
        lead(updated_at) over (partition by contact_id, identifier_type order by updated_at) as given_up_at
    from changes
)

select
    contact_id,
    identifier_type,
    identifier,
    first_seen_at,
    last_seen_at,
    given_up_at
from tenures
where identifier is not null
