-- Why: response rates and suppression look at all that ever happened at an address.
-- A row: one address that messages went to, in one channel, with what came of them.
select
    case channel when 'sms' then 'phone' else 'email' end as identifier_type,
    case channel when 'sms' then trim(phone) else lower(trim(email)) end as identifier,
    channel,
    count(*) filter (where event = 'sent') as sends,
    count(*) filter (where event = 'click') as clicks,
    count(*) filter (where event = 'bounce' and bounce_type = 'hard') as hard_bounces,
    count(*) filter (where event = 'complaint') as complaints,
    max(occurred_at) filter (where event = 'unsubscribe') as last_unsubscribed_at,
    cast(min(occurred_at) as date) as first_message_date
from sources.email
group by
    channel,
    case channel when 'sms' then trim(phone) else lower(trim(email)) end
having case channel when 'sms' then trim(phone) else lower(trim(email)) end is not null
