-- Why: what was sent to an address, and answered from it, before it went to another owner is the former owner's.
-- A row: one contact and a time during which an e-mail address or phone number was theirs that somebody else owns
-- today: from owned_from (null: as long as anything is known) until before owned_until. Times of one address do not
-- overlap, so that each message to it has one owner.
--
-- Ann and Cem have both owned x, Cem for longer, and Bob owns it today:
--
--     ownership of x    Ann |-----------------|
--                           Cem     |--------------------|
--                                                  Bob   |------------->
--     time            ------1-------2---------3----------4------------->
--     former owner    Ann                     Cem        (Bob is today's)
--
-- Of several former owners each has the address from when the one before gave it up (Cem from 3, though he had it
-- from 2). Where today's owner began earlier than a former one ended, it is today's owner's from then.
with present as (
    select
        identifier_type,
        identifier,
        -- Null where one of today's owners is the first one known: then the address is theirs throughout.
        case when count(*) = count(owned_from) then min(owned_from) end as taken_at
    from staging.address_ownership
    where owned_until is null
    group by
        identifier_type,
        identifier
),

turns as (
    select
        former.contact_id,
        former.identifier_type,
        former.identifier,
        lag(former.owned_until) over (
            partition by former.identifier_type, former.identifier
            order by former.owned_until, former.contact_id
        ) as owned_from,
        least(former.owned_until, present.taken_at) as owned_until
    from staging.address_ownership as former
    inner join present
        on present.identifier_type = former.identifier_type
        and present.identifier = former.identifier
    where former.owned_until is not null
        and present.taken_at is not null
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
