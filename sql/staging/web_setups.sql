-- Why: what people browse with, and what they do there, over all time.
-- A row: one person or anonymous visitor on one set-up (platform, device, operating system, browser).
select
    case when user_id is null then 'visitor' else 'customer' end as identifier_type,
    coalesce(user_id, visitor_id) as identifier,
    platform,
    device,
    os,
    browser,
    count(*) as events,
    count(*) filter (where event_type = 'product_view') as product_views,
    count(*) filter (where event_type = 'add_to_cart') as add_to_carts,
    cast(min(occurred_at) as date) as first_visit_date,
    cast(max(occurred_at) as date) as last_visit_date,
    cast(max(occurred_at) filter (where event_type = 'add_to_cart') as date) as last_cart_date
from sources.web
group by
    user_id is null,
    coalesce(user_id, visitor_id),
    platform,
    device,
    os,
    browser
