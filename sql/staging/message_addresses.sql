-- Why: response rates look at all that ever happened at an address, and engagement at what it is worth today.
-- A row: one address that messages went to, in one channel, while one former owner had it (null: since today's owner
-- has it), with what came of them. An event that only opts out is no message.
-- Clicks are counted by message: one that is clicked ten times is one clicked message, and so are all clicks together
-- that name no message.
with events as (
    select
        case email.channel when 'sms' then 'phone' else 'email' end as identifier_type,
        case email.channel
            when 'sms' then phone_number(email.phone, $default_region)
            else email_address(email.email)
        end as identifier,
        email.channel,
        case when email.event = 'click' then coalesce(email.message_id, '') end as clicked_message_id,
        email.event,
        email.occurred_at,
        engagement.points
    from sources.email as email
    left join staging.engagement_points as engagement
        on engagement.channel = email.channel
        and engagement.event_type = email.event
        and engagement.event_date = cast(email.occurred_at as date)
    -- An event that cannot be read is no message.
    where email.event is not null
),

-- A row: one clicked message, or (null) all events of an address that are no clicks.
clicked_messages as (
    select
        events.identifier,
        events.channel,
        former.contact_id as former_owner,
        events.clicked_message_id,
        count(*) filter (where events.event = 'sent') as sends,
        count(*) filter (where events.event not in ('unsubscribe', 'complaint')) as messages,
        min(events.occurred_at) as first_message_at,
        sum(events.points) as points
    from events
    left join staging.former_owners as former
        on former.identifier_type = events.identifier_type
        and former.identifier = events.identifier
        and (former.owned_from is null or events.occurred_at >= former.owned_from)
        and events.occurred_at < former.owned_until
    group by
        events.identifier,
        events.channel,
        former.contact_id,
        events.clicked_message_id
    -- No address, no row. Asked of the group and not of each event, whose address would be parsed twice.
    having count(events.identifier) > 0
)

select
    case channel when 'sms' then 'phone' else 'email' end as identifier_type,
    identifier,
    channel,
    former_owner,
    sum(sends) as sends,
    count(clicked_message_id) as clicks,
    sum(messages) as messages,
    min(first_message_at) as first_message_at,
    sum(points) as points
from clicked_messages
group by
    identifier,
    channel,
    former_owner
