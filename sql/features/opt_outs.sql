-- Why: who has opted out of what, by any of their identifiers: scores.permissions decides what it means.
-- A row: one customer and channel with at least one opt-out, and when each kind was last said.
with opt_outs as (
    select
        owner.customer_id,
        opt_outs.channel,
        opt_outs.kind,
        opt_outs.occurred_at
    from staging.contact_opt_outs as opt_outs
    inner join identity.customers as owner
        on owner.identifier_type = 'customer'
        and owner.identifier = opt_outs.contact_id
    union all
    -- An address that no contact ever had is that of the customer it leads to.
    select
        owner.customer_id,
        opt_outs.channel,
        opt_outs.kind,
        opt_outs.occurred_at
    from staging.message_opt_outs as opt_outs
    inner join identity.customers as owner
        on owner.identifier_type = opt_outs.identifier_type
        and owner.identifier = opt_outs.identifier
    where not exists (
        select 1
        from staging.address_ownership as ownership
        where ownership.identifier_type = opt_outs.identifier_type
            and ownership.identifier = opt_outs.identifier
    )
    union all
    -- A suppression of an address holds for everybody who has it or had it: better one message too few.
    select
        owner.customer_id,
        suppressions.channel,
        'suppression' as kind,
        suppressions.suppressed_at as occurred_at
    from staging.suppressions as suppressions
    inner join identity.customers as owner
        on owner.identifier_type = suppressions.identifier_type
        and owner.identifier = suppressions.identifier
    union all
    select
        owner.customer_id,
        suppressions.channel,
        'suppression' as kind,
        suppressions.suppressed_at as occurred_at
    from staging.suppressions as suppressions
    inner join staging.contact_identifiers as contact
        on contact.identifier_type = suppressions.identifier_type
        and contact.identifier = suppressions.identifier
    inner join identity.customers as owner
        on owner.identifier_type = 'customer'
        and owner.identifier = contact.contact_id
),

channels as (
    select unnest(make_array('email', 'sms', 'post')) as channel
)

select
    opt_outs.customer_id,
    channels.channel,
    max(opt_outs.occurred_at) filter (where opt_outs.kind = 'suppression') as suppressed_at,
    max(opt_outs.occurred_at) filter (where opt_outs.kind = 'complaint') as complained_at,
    max(opt_outs.occurred_at) filter (where opt_outs.kind = 'unsubscribe') as unsubscribed_at,
    max(opt_outs.occurred_at) filter (where opt_outs.kind = 'bounce') as bounced_at
from opt_outs
-- Without a channel it is an opt-out of every one.
inner join channels
    on opt_outs.channel is null
    or opt_outs.channel = channels.channel
group by
    opt_outs.customer_id,
    channels.channel
