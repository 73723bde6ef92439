-- Why: what was sent to an address, and answered from it, before it passed on is its former holder's, not today's.
-- A row: one contact and a time when an e-mail address or phone number that somebody else has today was theirs: from
-- held_from (null: since ever) until before held_to. Of several, each has it from when the one before gave it up.
-- From when anybody who has it today had it, it is theirs, even if a former holder had it too.
with present as (
    select
        identifier_type,
        identifier,
        -- No beginning is known of who had it first.
        case when count(*) = count(held_from) then min(held_from) end as taken_at
    from staging.address_tenures
    where held_to is null
    group by
        identifier_type,
        identifier
),

turns as (
    select
        f.contact_id,
        f.identifier_type,
        f.identifier,
        lag(f.held_to) over (
            partition by f.identifier_type, f.identifier
            order by f.held_to, f.contact_id
        ) as held_from,
        least(f.held_to, p.taken_at) as held_to
    from staging.address_tenures as f
    inner join present as p
        on p.identifier_type = f.identifier_type
        and p.identifier = f.identifier
    where f.held_to is not null
        and p.taken_at is not null
)

select
    contact_id,
    identifier_type,
    identifier,
    held_from,
    held_to
from turns
where held_from is null
    or held_from < held_to
