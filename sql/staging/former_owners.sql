-- Why: what was sent to an address, and answered from it, before it passed on is its former holder's, not today's.
-- A row: one contact and a time when an e-mail address or phone number that somebody else has today was theirs: from
-- owned_from (null: since ever) until before owned_until. Of several, each has it from when the one before gave it up.
-- From when anybody who has it today had it, it is theirs, even if a former holder had it too.
with present as (
    select
        identifier_type,
        identifier,
        -- No beginning is known of who had it first.
        case when count(*) = count(owned_from) then min(owned_from) end as taken_at
    from staging.address_ownership
    where owned_until is null
    group by
        identifier_type,
        identifier
),

turns as (
    select
        f.contact_id,
        f.identifier_type,
        f.identifier,
        lag(f.owned_until) over (
            partition by f.identifier_type, f.identifier
            order by f.owned_until, f.contact_id
        ) as owned_from,
        least(f.owned_until, p.taken_at) as owned_until
    from staging.address_ownership as f
    inner join present as p
        on p.identifier_type = f.identifier_type
        and p.identifier = f.identifier
    where f.owned_until is not null
        and p.taken_at is not null
)

select
    contact_id,
    identifier_type,
    identifier,
    owned_from,
    owned_until
from turns
where owned_from is null
    or owned_from < owned_until
