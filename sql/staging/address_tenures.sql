-- Why: a complaint is that of the person who had the address then, and not of whoever has it today.
-- A row: one contact and the time during which an e-mail address or phone number was theirs: from held_from (null:
-- since ever) until before held_to (null: still). Whoever had it first had it before we knew, and whoever gave
-- it up has it until the next one takes it. Several contacts may have one address at a time.
with held as (
    select
        contact_id,
        identifier_type,
        identifier,
        first_seen_at,
        given_up_at
    from staging.contact_identifiers
    where identifier_type in ('email', 'phone')
),

first_held as (
    select
        identifier_type,
        identifier,
        min(first_seen_at) as first_seen_at
    from held
    group by
        identifier_type,
        identifier
),

passed_on as (
    select
        h.contact_id,
        h.identifier_type,
        h.identifier,
        min(greatest(h.given_up_at, n.first_seen_at)) as held_to
    from held as h
    inner join held as n
        on n.identifier_type = h.identifier_type
        and n.identifier = h.identifier
        and n.contact_id <> h.contact_id
    where h.given_up_at is not null
        and (n.given_up_at is null or n.given_up_at > h.given_up_at)
    group by
        h.contact_id,
        h.identifier_type,
        h.identifier
)

select
    h.contact_id,
    h.identifier_type,
    h.identifier,
    nullif(h.first_seen_at, f.first_seen_at) as held_from,
    p.held_to
from held as h
inner join first_held as f
    on f.identifier_type = h.identifier_type
    and f.identifier = h.identifier
left join passed_on as p
    on p.contact_id = h.contact_id
    and p.identifier_type = h.identifier_type
    and p.identifier = h.identifier
