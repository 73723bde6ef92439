-- Why: there are far more web events than devices, so they are counted and weighed in one reading.
-- A row: one visitor, as one user (null: not logged in), on one device (platform, device, operating system, browser).
with events as (
    select
        *,
        -- A word for nobody ('undefined') is no login.
        case when identifier(user_id, $null_values) is not null then user_id end as known_user_id
    from sources.web
)

select
    events.visitor_id,
    events.known_user_id as user_id,
    events.platform,
    events.device,
    events.os,
    events.browser,
    count(*) as events,
    count(*) filter (where events.event_type = 'product_view') as product_views,
    count(*) filter (where events.event_type = 'add_to_cart') as add_to_carts,
    min(events.occurred_at) as first_seen_at,
    max(events.occurred_at) as last_seen_at,
    max(events.occurred_at) filter (where events.event_type = 'add_to_cart') as last_cart_at,
    sum(engagement.points) as points
from events
left join staging.engagement_points as engagement
    on engagement.channel = 'web'
    and engagement.event_type = events.event_type
    and engagement.event_date = cast(events.occurred_at as date)
group by
    events.visitor_id,
    events.known_user_id,
    events.platform,
    events.device,
    events.os,
    events.browser
