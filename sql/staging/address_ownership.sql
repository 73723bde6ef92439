-- Why: a complaint is of the person who owned the address then, and not of the one who owns it today.
-- A row: one contact and one time during which an e-mail address or phone number was theirs: from owned_from (null:
-- as long as anything is known) until before owned_until (null: still).
--
-- Ann's first CRM version has the address x, her third one does not, and later Bob has it:
--
--     Ann's versions     x ------- x ------- (none)
--     Bob's versions                                       x -------
--     time            ---1---------2---------3-------------4-------->
--     owner of x      Ann                                  Bob
--
-- Ann is the first owner, so x was hers before 1 too (owned_from is null). She gave x up at 3, but nobody else had it
-- before 4, so what happened to x in between is still hers (owned_until is 4). Bob owns x from 4 until today (null).
-- Where Bob has x before Ann gives it up, both own it until she does: several contacts may own one address.
with owned as (
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
        count(*) as ownerships,
        count(given_up_at) as given_up
    from owned
    group by
        identifier_type,
        identifier
),

-- When an address was given up (null: not yet), and when the first of those who gave it up at that moment (null: of
-- those who still have it) began to have it. One row for each such moment and not for each pair of owners, because a
-- junk address has had thousands.
endings as (
    select
        owned.identifier_type,
        owned.identifier,
        owned.given_up_at,
        min(owned.first_seen_at) as first_seen_at
    from owned
    inner join addresses
        on addresses.identifier_type = owned.identifier_type
        and addresses.identifier = owned.identifier
    where addresses.given_up > 0
        and addresses.ownerships > 1
    group by
        owned.identifier_type,
        owned.identifier,
        owned.given_up_at
),

-- When the first of those who gave the address up later, or never, began to have it: null if there are none.
successions as (
    select
        identifier_type,
        identifier,
        given_up_at,
        min(first_seen_at) over (
            partition by identifier_type, identifier
            order by given_up_at desc nulls first
            rows between unbounded preceding and 1 preceding
        ) as taken_at
    from endings
)

select
    owned.contact_id,
    owned.identifier_type,
    owned.identifier,
    nullif(owned.first_seen_at, addresses.first_seen_at) as owned_from,
    case
        when successions.taken_at is not null then greatest(owned.given_up_at, successions.taken_at)
    end as owned_until
from owned
inner join addresses
    on addresses.identifier_type = owned.identifier_type
    and addresses.identifier = owned.identifier
left join successions
    on successions.identifier_type = owned.identifier_type
    and successions.identifier = owned.identifier
    and successions.given_up_at = owned.given_up_at
