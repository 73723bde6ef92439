-- Why: what a customer does on the site and in the app, and with what.
-- A row: one customer with at least one web event.
-- The primary device is the one with the most events; of those with equally many, the one used last; and of those used
-- last on one day, the one whose platform, device, operating system and browser sort last.
with devices as (
    select
        owner.customer_id,
        devices.platform,
        devices.device,
        devices.os,
        devices.browser,
        sum(devices.events) as events,
        sum(devices.product_views) as product_views,
        sum(devices.add_to_carts) as add_to_carts,
        cast(min(devices.first_seen_at) as date) as first_visit_date,
        cast(max(devices.last_seen_at) as date) as last_visit_date,
        cast(max(devices.last_cart_at) as date) as last_cart_date,
        sum(devices.points) as points
    from staging.web_devices as devices
    -- A logged-in event is the user's own, even on a device that others share.
    inner join identity.customers as owner
        on owner.identifier_type = case when devices.user_id is null then 'visitor' else 'customer' end
        and owner.identifier = coalesce(devices.user_id, devices.visitor_id)
    group by
        owner.customer_id,
        devices.platform,
        devices.device,
        devices.os,
        devices.browser
),

visits as (
    select
        customer_id,
        arg_max(
            named_struct('platform', platform, 'device', device, 'os', os, 'browser', browser),
            events,
            last_visit_date
        ) as primary_device,
        count(*) as devices,
        sum(events) as web_events,
        sum(product_views) as product_views,
        sum(add_to_carts) as add_to_carts,
        min(first_visit_date) as first_visit_date,
        max(last_visit_date) as last_visit_date,
        max(last_cart_date) as last_cart_date,
        sum(points) as points
    from devices
    group by customer_id
)

select
    customer_id,
    primary_device['platform'] as primary_platform,
    primary_device['device'] as primary_device,
    primary_device['os'] as primary_os,
    primary_device['browser'] as primary_browser,
    devices,
    web_events,
    product_views,
    add_to_carts,
    first_visit_date,
    $as_of - last_visit_date as days_since_last_visit,
    $as_of - last_cart_date as days_since_last_cart,
    points
from visits
