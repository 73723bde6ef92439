-- Why: a refusal is that of a person, whatever address it came through and whoever has that address today.
-- A row: one customer and channel with at least one refusal, and when each kind was last said.
-- An address that no contact ever had is that of the customer it leads to.
with by_contact as (
    select
        i.customer_id,
        r.channel,
        r.refusal,
        r.occurred_at
    from staging.message_refusals as r
    inner join staging.address_tenures as t
        on t.identifier_type = r.identifier_type
        and t.identifier = r.identifier
    inner join identity.customers as i
        on i.identifier_type = 'customer'
        and i.identifier = t.contact_id
    where (t.held_from is null or r.occurred_at >= t.held_from)
        and (t.held_to is null or r.occurred_at < t.held_to)
),

by_address as (
    select
        i.customer_id,
        r.channel,
        r.refusal,
        r.occurred_at
    from staging.message_refusals as r
    inner join identity.customers as i
        on i.identifier_type = r.identifier_type
        and i.identifier = r.identifier
    where not exists (
        select 1
        from staging.address_tenures as t
        where t.identifier_type = r.identifier_type
            and t.identifier = r.identifier
    )
),

channels as (
    select unnest(make_array('email', 'sms', 'post')) as channel
),

-- An order against an address is against everybody who has it or had it: better one message too few.
suppressed as (
    select
        i.customer_id,
        s.channel,
        s.suppressed_at
    from staging.suppressions as s
    inner join identity.customers as i
        on i.identifier_type = s.identifier_type
        and i.identifier = s.identifier
    union all
    select
        i.customer_id,
        s.channel,
        s.suppressed_at
    from staging.suppressions as s
    inner join staging.contact_identifiers as a
        on a.identifier_type = s.identifier_type
        and a.identifier = s.identifier
    inner join identity.customers as i
        on i.identifier_type = 'customer'
        and i.identifier = a.contact_id
),

refusals as (
    select
        customer_id,
        channel,
        refusal,
        occurred_at
    from by_contact
    union all
    select
        customer_id,
        channel,
        refusal,
        occurred_at
    from by_address
    union all
    select
        s.customer_id,
        c.channel,
        'suppression' as refusal,
        s.suppressed_at as occurred_at
    from suppressed as s
    inner join channels as c
        on s.channel is null
        or s.channel = c.channel
)

select
    customer_id,
    channel,
    max(occurred_at) filter (where refusal = 'suppression') as suppressed_at,
    max(occurred_at) filter (where refusal = 'complaint') as complained_at,
    max(occurred_at) filter (where refusal = 'unsubscribe') as unsubscribed_at,
    max(occurred_at) filter (where refusal = 'bounce') as bounced_at
from refusals
group by
    customer_id,
    channel
