-- Why: who may be written to, by channel. Every audience that sends reads these columns.
-- A row: one customer with a contact. Without one there is no consent, and missing consent is no consent.
-- A complaint stands for good. An unsubscribe stands until the CRM records a new yes after it.
select
    c.customer_id,
    c.email_consent
        and coalesce(a.has_email, false)
        and coalesce(m.email_complaints, 0) = 0
        and (
            m.email_unsubscribed_at is null
            or coalesce(c.email_consent_since > m.email_unsubscribed_at, false)
        ) as can_email,
    c.sms_consent
        and coalesce(a.has_phone, false)
        and coalesce(m.sms_complaints, 0) = 0
        and (
            m.sms_unsubscribed_at is null
            or coalesce(c.sms_consent_since > m.sms_unsubscribed_at, false)
        ) as can_sms,
    c.post_consent as can_post
from features.contacts as c
left join features.addresses as a
    on a.customer_id = c.customer_id
left join features.messages as m
    on m.customer_id = c.customer_id
