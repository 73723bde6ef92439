-- Why: an opt-out that leads to nobody may be somebody's, and they would be written to: it must be published.
-- A row: one identifier of opt-outs of a kind, in a channel, at a time, of which no identifier is known from anything
-- but opt-outs; or no identifier (none) where none can be read. Values are hashed, as in identity.conflicts.
with opt_outs as (
    select
        source,
        kind,
        '' as reason,
        channel,
        occurred_at,
        identifier_type,
        identifier,
        written
    from staging.message_opt_outs
    where kind <> 'bounce'
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

-- Identifiers that something else than an opt-out names. Somebody who has only opted out would not be written to.
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
    select distinct opt_outs.written
    from opt_outs
    inner join known
        on known.identifier_type = opt_outs.identifier_type
        and known.identifier = opt_outs.identifier
),

unmatched as (
    select opt_outs.*
    from opt_outs
    left join matched
        on matched.written = opt_outs.written
    where matched.written is null
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
        else hashed_identifier(identifier_type, identifier)
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
