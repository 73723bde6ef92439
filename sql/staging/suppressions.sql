-- Why: some must not be written to whatever they or the CRM say: by law, by request, by death.
-- A row: one order not to use a channel, or any (null), for one contact number, e-mail address or phone number.
select
    case
        when contact_id is not null then 'customer'
        when email is not null then 'email'
        else 'phone'
    end as identifier_type,
    coalesce(contact_id, email_address(email), phone_number(phone, $default_region)) as identifier,
    channel,
    reason,
    suppressed_at
from sources.suppressions
where coalesce(contact_id, email, phone) is not null
