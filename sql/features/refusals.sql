-- Why: a refusal is that of a person, whatever address it came through and whoever has that address today.
-- A row: one customer and channel with at least one refusal, and when each kind was last said.
-- An address that no contact ever had is that of the customer it leads to.
with last_refusals as (
    select
        identifier_type,
        identifier,
        channel,
        refusal,
        max(occurred_at) as occurred_at
    from staging.message_refusals
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
        null as held_from
    from staging.message_refusals as r
    where exists (
        select 1
        from staging.address_tenures as t
        where t.identifier_type = r.identifier_type
            and t.identifier = r.identifier
            and t.held_to is not null
    )
    union all
    select
        t.identifier_type,
        t.identifier,
        r.channel,
        r.refusal,
        -- The last moment at which it was theirs.
        t.held_to - interval '1 microsecond' as told_at,
        t.contact_id,
        t.held_from
    from staging.address_tenures as t
    inner join last_refusals as r
        on r.identifier_type = t.identifier_type
        and r.identifier = t.identifier
    where t.held_to is not null
),

before_it_passed_on as (
    select
        contact_id,
        channel,
        refusal,
        held_from,
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
        held_from,
        occurred_at
    from before_it_passed_on
    where contact_id is not null
    union all
    select
        t.contact_id,
        r.channel,
        r.refusal,
        t.held_from,
        r.occurred_at
    from last_refusals as r
    inner join staging.address_tenures as t
        on t.identifier_type = r.identifier_type
        and t.identifier = r.identifier
    where t.held_to is null
),

by_contact as (
    select
        i.customer_id,
        s.channel,
        s.refusal,
        s.occurred_at
    from said as s
    inner join identity.customers as i
        on i.identifier_type = 'customer'
        and i.identifier = s.contact_id
    where s.held_from is null and s.occurred_at is not null
        or s.occurred_at >= s.held_from
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
