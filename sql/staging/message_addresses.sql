-- Why: response rates look at all that ever happened at an address, and engagement at what it is worth today.
-- A row: one address that messages went to, in one channel, with what came of them.
-- The small table comes first: a join holds its first side in memory.
with events as (
    select
        case e.channel when 'sms' then 'phone' else 'email' end as identifier_type,
        case e.channel
            when 'sms' then phone_number(e.phone, $default_region)
            else email_address(e.email)
        end as identifier,
        e.channel,
        e.event,
        e.occurred_at,
        p.points
    from staging.engagement_points as p
    right join sources.email as e
        on p.channel = e.channel
        and p.event_type = e.event
        and p.event_date = cast(e.occurred_at as date)
)

select
    identifier_type,
    identifier,
    channel,
    count(*) filter (where event = 'sent') as sends,
    count(*) filter (where event = 'click') as clicks,
    min(occurred_at) as first_message_at,
    sum(points) as points
from events
where identifier is not null
group by
    identifier_type,
    identifier,
    channel
