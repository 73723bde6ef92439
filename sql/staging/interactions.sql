-- Why: engagement weighs whatever people do, across channels, in one way.
-- A row: so many events of one kind, in one channel, by one identifier, on one day.
-- Web and message events are passed on one by one: they are summed at once, by identifier, in
-- scores.engagement, and counting them by day first would cost more than it saves.
select
    case when user_id is null then 'visitor' else 'customer' end as identifier_type,
    -- A logged-in event is the user's own, even on a device that others share.
    coalesce(user_id, visitor_id) as identifier,
    'web' as channel,
    event_type,
    cast(occurred_at as date) as event_date,
    1 as events
from sources.web
union all
select
    case channel when 'sms' then 'phone' else 'email' end as identifier_type,
    case channel when 'sms' then phone_number(phone, $default_region) else email_address(email) end as identifier,
    channel,
    event as event_type,
    cast(occurred_at as date) as event_date,
    1 as events
from sources.email
-- What the company and the mail servers do is no interaction.
where event not in ('sent', 'bounce')
union all
select
    identifier_type,
    identifier,
    'order' as channel,
    'order' as event_type,
    order_date as event_date,
    1 as events
from staging.orders
where is_sale
union all
-- A response counts once, however many questions it answers.
select distinct
    identifier_type,
    identifier,
    'survey' as channel,
    'response' as event_type,
    cast(responded_at as date) as event_date,
    1 as events
from staging.survey_answers
