-- Why: who refuses messages must not get them, and who that was depends on who had the address then.
-- A row: one refusal at one time (unsubscribe, complaint, or bounce: a hard one) and one e-mail address or phone number
-- that can be read in it; none (null) where none can.
-- What cannot be read refuses: an event may be an unsubscribe, and a channel any of them (null). Every address counts,
-- in whichever column it stands; but what bounced is the address of the channel, and not the person's other one.
-- A version of a contact without a number is nobody's consent, but still a no of whoever has its addresses, in every
-- channel that it does not say yes to.
with channels as (
    select unnest(make_array('email', 'sms', 'post')) as channel
),

refusals as (
    select
        'email' as source,
        coalesce(event, 'unsubscribe') as refusal,
        channel,
        occurred_at,
        concat_ws(', ', email, phone) as written
    from sources.email
    where event is null
        or event in ('unsubscribe', 'complaint')
        or event = 'bounce' and bounce_type is distinct from 'soft'
    union all
    select
        'contacts' as source,
        'unsubscribe' as refusal,
        h.channel,
        c.updated_at as occurred_at,
        concat_ws(', ', c.email, c.phone) as written
    from sources.contacts as c
    cross join channels as h
    where identifier(c.contact_id, $null_values) is null
        and not coalesce(
            case h.channel
                when 'email' then c.email_consent
                when 'sms' then c.sms_consent
                else c.post_consent
            end,
            false
        )
),

parsed as (
    select
        source,
        refusal,
        channel,
        occurred_at,
        written,
        email_addresses(written) as emails,
        phone_numbers(written, $default_region) as phones
    from refusals
)

select
    source,
    'email' as identifier_type,
    unnest(emails) as identifier,
    channel,
    refusal,
    occurred_at,
    written
from parsed
where refusal <> 'bounce'
    or channel is distinct from 'sms'
union all
select
    source,
    'phone' as identifier_type,
    unnest(phones) as identifier,
    channel,
    refusal,
    occurred_at,
    written
from parsed
where refusal <> 'bounce'
    or channel is distinct from 'email'
union all
select
    source,
    cast(null as varchar) as identifier_type,
    cast(null as varchar) as identifier,
    channel,
    refusal,
    occurred_at,
    written
from parsed
where cardinality(emails) = 0
    and cardinality(phones) = 0
