-- Why: events carry an address, not a contact; an old address still names the person who had it.
-- A row: one e-mail address, phone number or loyalty card and one time during which one contact had it: when a version
-- of the contact gave it first and last, and when a later version left it out (null while none has).
-- An address that is given up and had again has a row for each time, for somebody else may have had it in between.
with identifiers as (
    select
        contact_id,
        version_number,
        updated_at,
        replaced_at,
        'email' as identifier_type,
        email as identifier
    from staging.contact_versions
    where email is not null
    union all
    select
        contact_id,
        version_number,
        updated_at,
        replaced_at,
        'phone' as identifier_type,
        phone as identifier
    from staging.contact_versions
    where phone is not null
    union all
    select
        contact_id,
        version_number,
        updated_at,
        replaced_at,
        'card' as identifier_type,
        card as identifier
    from staging.contact_versions
    where card is not null
),

ownerships as (
    select
        contact_id,
        identifier_type,
        identifier,
        min(updated_at) as first_seen_at,
        max(updated_at) as last_seen_at,
        -- In the contact's newest version nothing has replaced it.
        case when count(*) = count(replaced_at) then max(replaced_at) end as given_up_at,
        -- More versions lie between the first and the last than have it: some in between leave it out.
        max(version_number) - min(version_number) + 1 > count(*) as is_had_again
    from identifiers
    group by
        contact_id,
        identifier_type,
        identifier
),

-- Only the versions of contacts who have something again are put in order. Versions that follow each other have the
-- same turn.
had_again as (
    select
        identifiers.contact_id,
        identifiers.identifier_type,
        identifiers.identifier,
        identifiers.updated_at,
        identifiers.replaced_at,
        identifiers.version_number - row_number() over (
            partition by identifiers.contact_id, identifiers.identifier_type, identifiers.identifier
            order by identifiers.version_number
        ) as turn
    from ownerships
    inner join identifiers
        on identifiers.contact_id = ownerships.contact_id
        and identifiers.identifier_type = ownerships.identifier_type
        and identifiers.identifier = ownerships.identifier
    where ownerships.is_had_again
)

select
    contact_id,
    identifier_type,
    identifier,
    first_seen_at,
    last_seen_at,
    given_up_at
from ownerships
where not is_had_again
union all
select
    contact_id,
    identifier_type,
    identifier,
    min(updated_at) as first_seen_at,
    max(updated_at) as last_seen_at,
    case when count(*) = count(replaced_at) then max(replaced_at) end as given_up_at
from had_again
group by
    contact_id,
    identifier_type,
    identifier,
    turn
