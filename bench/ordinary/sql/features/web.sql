-- A row: one customer who used the site in the window. The score is in millionths, and an event counts half after every half-life.
with days as (
    select
        visitor_id,
        coalesce(user_id, '') as user_id,
        cast(occurred_at as date) as event_date,
        count(*) as events,
        count(*) filter (where event_type in ('add_to_cart', 'checkout')) as carts,
        count(*) filter (where device = 'mobile') as mobile_events
    from sources.web
    where cast(occurred_at as date) >= $as_of - $window_days
    group by visitor_id, coalesce(user_id, ''), cast(occurred_at as date)
)

select
    people.customer_id,
    sum(days.events) as web_events,
    sum(days.mobile_events) as mobile_events,
    max(days.event_date) as last_web_date,
    sum((days.events + 4 * days.carts) * cast(round(1000000 * power(0.5, ($as_of - days.event_date) / cast($half_life_days as double))) as bigint))
        as web_points
from days
inner join resolved.customers as people
    on people.identifier_type = 'visitor'
    and people.identifier = days.visitor_id
group by people.customer_id
