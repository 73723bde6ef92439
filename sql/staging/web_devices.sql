-- Why: there are far more web events than visitors, so they are counted and weighed in one reading.
-- A row: one visitor, as one user (null: not logged in), on one set-up (platform, device, operating system, browser).
-- The small table comes first: a join holds its first side in memory.
with events as (
    select
        *,
        -- A word for nobody is no login.
        case when identifier(user_id, $null_values) is not null then user_id end as known_user_id
    from sources.web
)

select
    w.visitor_id,
    w.known_user_id as user_id,
    w.platform,
    w.device,
    w.os,
    w.browser,
    count(*) as events,
    count(*) filter (where w.event_type = 'product_view') as product_views,
    count(*) filter (where w.event_type = 'add_to_cart') as add_to_carts,
    min(w.occurred_at) as first_seen_at,
    max(w.occurred_at) as last_seen_at,
    max(w.occurred_at) filter (where w.event_type = 'add_to_cart') as last_cart_at,
    sum(p.points) as points
from staging.engagement_points as p
right join events as w
    on p.channel = 'web'
    and p.event_type = w.event_type
    and p.event_date = cast(w.occurred_at as date)
group by
    w.visitor_id,
    w.known_user_id,
    w.platform,
    w.device,
    w.os,
    w.browser
