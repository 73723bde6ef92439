-- Why: response rates look at all that ever happened at an address.
-- A row: one address that messages went to, in one channel, with what came of them.
with events as (
    select
        case channel when 'sms' then 'phone' else 'email' end as identifier_type,
        case channel when 'sms' then phone_number(phone, $default_region) else email_address(email) end as identifier,
        channel,
        event,
        occurred_at
    from sources.email
)

select
    identifier_type,
    identifier,
    channel,
    count(*) filter (where event = 'sent') as sends,
    count(*) filter (where event = 'click') as clicks,
    min(occurred_at) as first_message_at
from events
where identifier is not null
group by
    identifier_type,
    identifier,
    channel
