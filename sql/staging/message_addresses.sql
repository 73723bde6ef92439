-- Why: response rates look at all that ever happened at an address, and engagement at what it is worth today.
-- A row: one address that messages went to, in one channel, while one former holder had it (null: since whoever has it
-- today), with what came of them. What was only refused is no message.
-- The small tables come first: a join holds its first side in memory.
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
    -- What cannot be read is no message.
    where e.event is not null
)

select
    e.identifier_type,
    e.identifier,
    e.channel,
    h.contact_id as former_owner,
    count(*) filter (where e.event = 'sent') as sends,
    count(*) filter (where e.event = 'click') as clicks,
    count(*) filter (where e.event not in ('unsubscribe', 'complaint')) as messages,
    min(e.occurred_at) as first_message_at,
    sum(e.points) as points
from staging.former_owners as h
right join events as e
    on h.identifier_type = e.identifier_type
    and h.identifier = e.identifier
    and (h.owned_from is null or e.occurred_at >= h.owned_from)
    and e.occurred_at < h.owned_until
group by
    e.identifier_type,
    e.identifier,
    e.channel,
    h.contact_id
-- No address, no row. Asked of the group: a condition on the column would tidy every message's address twice.
having count(e.identifier) > 0
