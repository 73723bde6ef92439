-- Why: what was sent to an address, and answered from it, before it passed on is its former holder's, not today's.
-- A row: one contact and a time when an e-mail address or phone number that somebody else has today was theirs: from
-- held_from (null: since ever) until before held_to. Of several, each has it from when the one before gave it up.
-- From when anybody who has it today had it, it is theirs, even if a former holder had it too.
with former as (
    select
        f.contact_id,
        f.identifier_type,
        f.identifier,
        f.held_to,
        -- No beginning is known of who had it first.
        case when count(*) = count(t.held_from) then min(t.held_from) end as taken_at
    from staging.address_tenures as f
    inner join staging.address_tenures as t
        on t.identifier_type = f.identifier_type
        and t.identifier = f.identifier
    where f.held_to is not null
        and t.held_to is null
    group by
        f.contact_id,
        f.identifier_type,
        f.identifier,
        f.held_to
),

turns as (
    select
        contact_id,
        identifier_type,
        identifier,
        lag(held_to) over (partition by identifier_type, identifier order by held_to, contact_id) as held_from,
        least(held_to, taken_at) as held_to
    from former
    where taken_at is not null
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
