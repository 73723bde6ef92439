-- Why: who refuses messages must not get them, and who that was depends on who had the address then.
-- A row: one refusal at one time (unsubscribe, complaint, or bounce: a hard one) and one e-mail address or phone number
-- that can be read in it; none (null) where none can.
-- What cannot be read refuses: an event may be an unsubscribe, and a channel any of them (null). Every address counts,
-- in whichever column it stands; but what bounced is the address of the channel, and not the person's other one.
-- A version of a contact without a number is nobody's consent, but still a no of whoever has its addresses.
with refusals as (
    select
        'email' as source,
        coalesce(event, 'unsubscribe') as refusal,
        channel,
        occurred_at,
        concat_ws(', ', email, phone) as written
    from sources.email
    where event is null
        or event in ('unsubscribe', 'complaint')
        or event = 'bounce' and bounce_type = 'hard'
    union all
    select
        'contacts' as source,
        'unsubscribe' as refusal,
        case
            when email_consent and not coalesce(sms_consent, false) then 'sms'
            when sms_consent and not coalesce(email_consent, false) then 'email'
        end as channel,
        updated_at as occurred_at,
        concat_ws(', ', email, phone) as written
    from sources.contacts
    where identifier(contact_id, $null_words) is null
        and not (coalesce(email_consent, false) and coalesce(sms_consent, false))
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
