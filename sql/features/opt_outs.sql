-- Why: who has refused what, by any of their identifiers: scores.permissions decides what it means.
-- A row: one customer and channel with at least one refusal, and when each kind was last said.
with refusals as (
    select
        i.customer_id,
        r.channel,
        r.refusal,
        r.occurred_at
    from staging.contact_opt_outs as r
    inner join identity.customers as i
        on i.identifier_type = 'customer'
        and i.identifier = r.contact_id
    union all
    -- An address that no contact ever had is that of the customer it leads to.
    select
        i.customer_id,
        r.channel,
        r.refusal,
        r.occurred_at
    from staging.message_opt_outs as r
    inner join identity.customers as i
        on i.identifier_type = r.identifier_type
        and i.identifier = r.identifier
    where not exists (
        select 1
        from staging.address_ownership as t
        where t.identifier_type = r.identifier_type
            and t.identifier = r.identifier
    )
    union all
    -- An order against an address is against everybody who has it or had it: better one message too few.
    select
        i.customer_id,
        s.channel,
        'suppression' as refusal,
        s.suppressed_at as occurred_at
    from staging.suppressions as s
    inner join identity.customers as i
        on i.identifier_type = s.identifier_type
        and i.identifier = s.identifier
    union all
    select
        i.customer_id,
        s.channel,
        'suppression' as refusal,
        s.suppressed_at as occurred_at
    from staging.suppressions as s
    inner join staging.contact_identifiers as a
        on a.identifier_type = s.identifier_type
        and a.identifier = s.identifier
    inner join identity.customers as i
        on i.identifier_type = 'customer'
        and i.identifier = a.contact_id
),

channels as (
    select unnest(make_array('email', 'sms', 'post')) as channel
)

select
    r.customer_id,
    c.channel,
    max(r.occurred_at) filter (where r.refusal = 'suppression') as suppressed_at,
    max(r.occurred_at) filter (where r.refusal = 'complaint') as complained_at,
    max(r.occurred_at) filter (where r.refusal = 'unsubscribe') as unsubscribed_at,
    max(r.occurred_at) filter (where r.refusal = 'bounce') as bounced_at
from refusals as r
-- Without a channel it is a refusal of every one.
inner join channels as c
    on r.channel is null
    or r.channel = c.channel
group by
    r.customer_id,
    c.channel
