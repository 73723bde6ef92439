-- Why: a complaint is that of the person who had the address then, and not of whoever has it today.
-- A row: one contact and one time during which an e-mail address or phone number was theirs: from owned_from (null:
-- since ever) until before owned_until (null: still). Whoever had it first had it before we knew, and whoever gave
-- it up has it until it is taken next, by somebody else or again. Several contacts may have one address at a time.
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

addresses as (
    select
        identifier_type,
        identifier,
        min(first_seen_at) as first_seen_at,
        count(*) as holders,
        count(given_up_at) as former_owners
    from held
    group by
        identifier_type,
        identifier
),

-- When an address was given up, and when the first of those who had it beyond that moment began to. In order of
-- time, not pair by pair: thousands may have had a junk address.
ends as (
    select
        h.identifier_type,
        h.identifier,
        h.given_up_at,
        min(h.first_seen_at) as first_seen_at
    from held as h
    inner join addresses as a
        on a.identifier_type = h.identifier_type
        and a.identifier = h.identifier
    where a.former_owners > 0
        and a.holders > 1
    group by
        h.identifier_type,
        h.identifier,
        h.given_up_at
),

passed_on as (
    select
        identifier_type,
        identifier,
        given_up_at,
        min(first_seen_at) over (
            partition by identifier_type, identifier
            order by given_up_at desc nulls first
            rows between unbounded preceding and 1 preceding
        ) as taken_at
    from ends
)

select
    h.contact_id,
    h.identifier_type,
    h.identifier,
    nullif(h.first_seen_at, a.first_seen_at) as owned_from,
    case when p.taken_at is not null then greatest(h.given_up_at, p.taken_at) end as owned_until
from held as h
inner join addresses as a
    on a.identifier_type = h.identifier_type
    and a.identifier = h.identifier
left join passed_on as p
    on p.identifier_type = h.identifier_type
    and p.identifier = h.identifier
    and p.given_up_at = h.given_up_at
