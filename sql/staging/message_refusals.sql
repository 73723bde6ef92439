-- Why: who refuses messages must not get them, and who that was depends on who had the address then.
-- A row: one kind of refusal at one address, at one time: unsubscribe, complaint, or bounce (a hard one).
select
    case channel when 'sms' then 'phone' else 'email' end as identifier_type,
    case channel when 'sms' then phone_number(phone, $default_region) else email_address(email) end as identifier,
    channel,
    event as refusal,
    occurred_at
from sources.email
where event in ('unsubscribe', 'complaint')
    or event = 'bounce' and bounce_type = 'hard'
