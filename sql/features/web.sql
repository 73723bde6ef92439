-- Why: what a customer does on the site and in the app, and with what.
-- A row: one customer with at least one web event.
-- The primary set-up is the one with the most events; ties go to the one used last, then to the name that sorts last.
with setups as (
    select
        i.customer_id,
        w.platform,
        w.device,
        w.os,
        w.browser,
        sum(w.events) as events,
        sum(w.product_views) as product_views,
        sum(w.add_to_carts) as add_to_carts,
        cast(min(w.first_seen_at) as date) as first_visit_date,
        cast(max(w.last_seen_at) as date) as last_visit_date,
        cast(max(w.last_cart_at) as date) as last_cart_date,
        sum(w.points) as points
    from staging.web_devices as w
    -- A logged-in event is the user's own, even on a device that others share.
    inner join identity.customers as i
        on i.identifier_type = case when w.user_id is null then 'visitor' else 'customer' end
        and i.identifier = coalesce(w.user_id, w.visitor_id)
    group by
        i.customer_id,
        w.platform,
        w.device,
        w.os,
        w.browser
),

visits as (
    select
        customer_id,
        -- One text that sorts as the ties are to be broken, taken apart again below.
        max(
            concat_ws(
                '|',
                lpad(cast(events as varchar), 12, '0'),
                cast(last_visit_date as varchar),
                coalesce(platform, ''),
                coalesce(device, ''),
                coalesce(os, ''),
                coalesce(browser, '')
            )
        ) as primary_setup,
        count(*) as setups,
        sum(events) as web_events,
        sum(product_views) as product_views,
        sum(add_to_carts) as add_to_carts,
        min(first_visit_date) as first_visit_date,
        max(last_visit_date) as last_visit_date,
        max(last_cart_date) as last_cart_date,
        sum(points) as points
    from setups
    group by customer_id
)

select
    customer_id,
    nullif(split_part(primary_setup, '|', 3), '') as primary_platform,
    nullif(split_part(primary_setup, '|', 4), '') as primary_device,
    nullif(split_part(primary_setup, '|', 5), '') as primary_os,
    nullif(split_part(primary_setup, '|', 6), '') as primary_browser,
    setups,
    web_events,
    product_views,
    add_to_carts,
    first_visit_date,
    $as_of - last_visit_date as days_since_last_visit,
    $as_of - last_cart_date as days_since_last_cart,
    points
from visits
