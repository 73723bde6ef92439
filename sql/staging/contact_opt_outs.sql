-- Why: a refusal is that of a person, whatever address it came through and whoever has that address today.
-- A row: one contact who had an address when something was refused through it, with the channel (null: any) and kind,
-- and when it was last said in that time.
with last_refusals as (
    select
        identifier_type,
        identifier,
        channel,
        refusal,
        max(occurred_at) as occurred_at
    from staging.message_opt_outs
    group by
        identifier_type,
        identifier,
        channel,
        refusal
),

-- Of an address that passed on: what was said through it and who gave it up, so that in order of time the last
-- refusal before is known. Not pair by pair: thousands may have had a junk address, and refused through it.
told as (
    select
        r.identifier_type,
        r.identifier,
        r.channel,
        r.refusal,
        r.occurred_at as told_at,
        null as contact_id,
        null as owned_from
    from staging.message_opt_outs as r
    where exists (
        select 1
        from staging.address_ownership as t
        where t.identifier_type = r.identifier_type
            and t.identifier = r.identifier
            and t.owned_until is not null
    )
    union all
    select
        t.identifier_type,
        t.identifier,
        r.channel,
        r.refusal,
        -- The last moment at which it was theirs.
        t.owned_until - interval '1 microsecond' as told_at,
        t.contact_id,
        t.owned_from
    from staging.address_ownership as t
    inner join last_refusals as r
        on r.identifier_type = t.identifier_type
        and r.identifier = t.identifier
    where t.owned_until is not null
),

before_it_passed_on as (
    select
        contact_id,
        channel,
        refusal,
        owned_from,
        max(case when contact_id is null then told_at end) over (
            partition by identifier_type, identifier, channel, refusal
            order by told_at
        ) as occurred_at
    from told
),

said as (
    select
        contact_id,
        channel,
        refusal,
        owned_from,
        occurred_at
    from before_it_passed_on
    where contact_id is not null
    union all
    select
        t.contact_id,
        r.channel,
        r.refusal,
        t.owned_from,
        r.occurred_at
    from last_refusals as r
    inner join staging.address_ownership as t
        on t.identifier_type = r.identifier_type
        and t.identifier = r.identifier
    where t.owned_until is null
)

select
    contact_id,
    channel,
    refusal,
    occurred_at
from said
where owned_from is null and occurred_at is not null
    or occurred_at >= owned_from
