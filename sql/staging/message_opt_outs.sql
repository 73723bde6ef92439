-- Why: who opts out of messages must not get them, and who that is depends on who owned the address then.
-- A row: one opt-out at one time (unsubscribe, complaint, or bounce: a hard one) and one e-mail address or phone number
-- that can be read in it; none (null) where none can.
-- What cannot be read opts out: an event may be an unsubscribe, and a channel every one (null). Every address counts,
-- in whichever column it stands; but what bounced is the address of the channel, and not the person's other one.
-- A version of a contact without a number is nobody's consent, but still an opt-out of the owners of its addresses, in
-- every channel that it does not say yes to.
with channels as (
    select unnest(make_array('email', 'sms', 'post')) as channel
),

opt_outs as (
    select
        'email' as source,
        coalesce(event, 'unsubscribe') as kind,
        channel,
        occurred_at,
        concat_ws(', ', email, phone) as written
    from sources.email
    where event is null
        or event in ('unsubscribe', 'complaint')
        or (event = 'bounce' and bounce_type is distinct from 'soft')
    union all
    select
        'contacts' as source,
        'unsubscribe' as kind,
        channels.channel,
        contacts.updated_at as occurred_at,
        concat_ws(', ', contacts.email, contacts.phone) as written
    from sources.contacts as contacts
    cross join channels
    where identifier(contacts.contact_id, $null_values) is null
        and not coalesce(
            case channels.channel
                when 'email' then contacts.email_consent
                when 'sms' then contacts.sms_consent
                else contacts.post_consent
            end,
            false
        )
),

parsed as (
    select
        source,
        kind,
        channel,
        occurred_at,
        written,
        email_addresses(written) as emails,
        phone_numbers(written, $default_region) as phones
    from opt_outs
)

select
    source,
    'email' as identifier_type,
    unnest(emails) as identifier,
    channel,
    kind,
    occurred_at,
    written
from parsed
where kind <> 'bounce'
    or channel is distinct from 'sms'
union all
select
    source,
    'phone' as identifier_type,
    unnest(phones) as identifier,
    channel,
    kind,
    occurred_at,
    written
from parsed
where kind <> 'bounce'
    or channel is distinct from 'email'
union all
select
    source,
    cast(null as varchar) as identifier_type,
    cast(null as varchar) as identifier,
    channel,
    kind,
    occurred_at,
    written
from parsed
where cardinality(emails) = 0
    and cardinality(phones) = 0
