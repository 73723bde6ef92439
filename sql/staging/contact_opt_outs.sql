-- Why: an opt-out is that of a person, whichever address it came through and whoever owns that address today.
-- A row: one contact who owned an address when somebody opted out through it, with the channel (null: every one) and
-- the kind, and when that was last said while the address was theirs.
with last_opt_outs as (
    select
        identifier_type,
        identifier,
        channel,
        kind,
        max(occurred_at) as occurred_at
    from staging.message_opt_outs
    group by
        identifier_type,
        identifier,
        channel,
        kind
),

-- Of addresses that went to another owner: the opt-outs through them and the ends of their ownership, to be put in
-- order of time, which finds the last opt-out before each end. Not pair by pair: thousands may have owned a junk
-- address, and opted out through it.
moments as (
    select
        opt_outs.identifier_type,
        opt_outs.identifier,
        opt_outs.channel,
        opt_outs.kind,
        opt_outs.occurred_at as moment,
        null as contact_id,
        null as owned_from
    from staging.message_opt_outs as opt_outs
    where exists (
        select 1
        from staging.address_ownership as ownership
        where ownership.identifier_type = opt_outs.identifier_type
            and ownership.identifier = opt_outs.identifier
            and ownership.owned_until is not null
    )
    union all
    select
        ownership.identifier_type,
        ownership.identifier,
        last_opt_outs.channel,
        last_opt_outs.kind,
        -- The last moment at which it was theirs.
        ownership.owned_until - interval '1 microsecond' as moment,
        ownership.contact_id,
        ownership.owned_from
    from staging.address_ownership as ownership
    inner join last_opt_outs
        on last_opt_outs.identifier_type = ownership.identifier_type
        and last_opt_outs.identifier = ownership.identifier
    where ownership.owned_until is not null
),

in_order as (
    select
        contact_id,
        channel,
        kind,
        owned_from,
        max(case when contact_id is null then moment end) over (
            partition by identifier_type, identifier, channel, kind
            order by moment
        ) as occurred_at
    from moments
),

opt_outs as (
    select
        contact_id,
        channel,
        kind,
        owned_from,
        occurred_at
    from in_order
    where contact_id is not null
    union all
    select
        ownership.contact_id,
        last_opt_outs.channel,
        last_opt_outs.kind,
        ownership.owned_from,
        last_opt_outs.occurred_at
    from staging.address_ownership as ownership
    inner join last_opt_outs
        on last_opt_outs.identifier_type = ownership.identifier_type
        and last_opt_outs.identifier = ownership.identifier
    where ownership.owned_until is null
)

select
    contact_id,
    channel,
    kind,
    occurred_at
from opt_outs
where (owned_from is null and occurred_at is not null)
    or occurred_at >= owned_from
