-- Why: who may be written to, by channel, and if not, why. Every audience that sends reads these columns.
-- A row: one customer with a contact. Without one there is no consent, and missing consent is no consent.
-- The latest statement counts, so an unsubscribe stands until the CRM records a new yes after it; but a complaint and
-- a suppression stand for good, and a hard bounce for as long as the contact has the address.
with statements as (
    select
        contacts.customer_id,
        contacts.email_consent,
        contacts.sms_consent,
        contacts.post_consent,
        contacts.email_consent_since,
        contacts.sms_consent_since,
        contacts.post_consent_since,
        coalesce(addresses.has_email, false) as has_email,
        coalesce(addresses.email_bounced, false) as email_bounced,
        coalesce(addresses.has_phone, false) as has_phone,
        coalesce(addresses.phone_bounced, false) as phone_bounced,
        email.suppressed_at as email_suppressed_at,
        email.complained_at as email_complained_at,
        email.unsubscribed_at as email_unsubscribed_at,
        sms.suppressed_at as sms_suppressed_at,
        sms.complained_at as sms_complained_at,
        sms.unsubscribed_at as sms_unsubscribed_at,
        post.suppressed_at as post_suppressed_at,
        post.unsubscribed_at as post_unsubscribed_at
    from features.contacts as contacts
    left join features.addresses as addresses
        on addresses.customer_id = contacts.customer_id
    left join features.opt_outs as email
        on email.customer_id = contacts.customer_id
        and email.channel = 'email'
    left join features.opt_outs as sms
        on sms.customer_id = contacts.customer_id
        and sms.channel = 'sms'
    left join features.opt_outs as post
        on post.customer_id = contacts.customer_id
        and post.channel = 'post'
),

reasons as (
    select
        customer_id,
        case
            when email_suppressed_at is not null then 'suppressed'
            when email_complained_at is not null then 'complaint'
            when not email_consent then 'no_consent'
            when email_unsubscribed_at is not null
                and not coalesce(email_consent_since > email_unsubscribed_at, false) then 'unsubscribed'
            when not has_email and email_bounced then 'bounced'
            when not has_email then 'no_address'
        end as no_email_reason,
        case
            when sms_suppressed_at is not null then 'suppressed'
            when sms_complained_at is not null then 'complaint'
            when not sms_consent then 'no_consent'
            when sms_unsubscribed_at is not null
                and not coalesce(sms_consent_since > sms_unsubscribed_at, false) then 'unsubscribed'
            when not has_phone and phone_bounced then 'bounced'
            when not has_phone then 'no_address'
        end as no_sms_reason,
        case
            when post_suppressed_at is not null then 'suppressed'
            when not post_consent then 'no_consent'
            when post_unsubscribed_at is not null
                and not coalesce(post_consent_since > post_unsubscribed_at, false) then 'unsubscribed'
        end as no_post_reason
    from statements
)

select
    customer_id,
    no_email_reason is null as can_email,
    no_sms_reason is null as can_sms,
    no_post_reason is null as can_post,
    no_email_reason,
    no_sms_reason,
    no_post_reason
from reasons
