-- Why: an opt-out that leads to nobody may be somebody's, and they would be written to: it must be told.
-- A row: one identifier of opt-outs of a kind, in a channel, at a time, of which no identifier is known from anything
-- but opt-outs; or no identifier (none) where none can be read. Values are hashed, as in identity.conflicts.
-- The small tables come first: a join holds its first side in memory.
with opt_outs as (
    select
        source,
        refusal as kind,
        '' as reason,
        channel,
        occurred_at,
        identifier_type,
        identifier,
        written
    from staging.message_opt_outs
    where refusal <> 'bounce'
    union all
    select
        'suppressions' as source,
        'suppression' as kind,
        coalesce(reason, '') as reason,
        channel,
        suppressed_at as occurred_at,
        identifier_type,
        identifier,
        written
    from staging.suppressions
),

-- Whom something else than an opt-out names: who has only opted out is nobody who could be written to.
known as (
    select
        identifier_type,
        identifier
    from staging.contact_identifiers
    union all
    select
        identifier_type,
        identifier
    from staging.message_addresses
    where messages > 0
    union all
    select
        identifier_type,
        identifier
    from staging.survey_answers
    union all
    select
        identifier_type,
        identifier
    from identity.customers
    where identifier_type = 'customer'
),

matched as (
    select distinct o.written
    from opt_outs as o
    inner join known as k
        on k.identifier_type = o.identifier_type
        and k.identifier = o.identifier
),

unmatched as (
    select o.*
    from opt_outs as o
    left join matched as m
        on m.written = o.written
    where m.written is null
)

select
    source,
    kind,
    reason,
    coalesce(channel, 'any') as channel,
    occurred_at,
    coalesce(identifier_type, 'none') as identifier_type,
    case
        when identifier is null then ''
        else concat(identifier_type, ':', identifier_hash(identifier))
    end as identifier,
    count(*) as opt_outs
from unmatched
group by
    source,
    kind,
    reason,
    channel,
    occurred_at,
    identifier_type,
    identifier
