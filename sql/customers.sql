-- Why: the customer profile: every base of segmentation side by side. Segment rules read this table.
-- A row: one customer. Personal data stay out: no name, no address, no day of birth.
-- A count or amount without events is 0; a trait that is not known is null.
with everybody as (
    select distinct customer_id
    from identity.customers
)

select
    everybody.customer_id,
    contacts.customer_id is not null as is_contact,
    coalesce(orders.lifetime_orders > 0, false) as has_orders,
    least(
        contacts.first_contact_date,
        orders.first_order_date,
        web.first_visit_date,
        messages.first_message_date,
        survey.first_response_date
    ) as first_seen_date,
    -- Demographic
    contacts.age,
    contacts.gender,
    contacts.income_band,
    contacts.education,
    contacts.job_title,
    contacts.household_size,
    -- Geographic
    coalesce(contacts.country, orders.country) as country,
    contacts.region,
    contacts.city,
    -- Technographic
    web.primary_platform,
    web.primary_device,
    web.primary_os,
    web.primary_browser,
    coalesce(web.devices, 0) as devices,
    -- Behavioural
    coalesce(orders.lifetime_orders, 0) as lifetime_orders,
    orders.first_order_date,
    orders.last_order_date,
    orders.days_since_last_order,
    orders.average_order_value,
    orders.average_days_between_orders,
    coalesce(products.products, 0) as products,
    coalesce(contacts.has_loyalty_card, false) as has_loyalty_card,
    rfm.recency_days,
    coalesce(rfm.frequency, 0) as frequency,
    cast(coalesce(rfm.monetary, 0) as decimal(18, 3)) as monetary,
    coalesce(rfm.r_score, 0) as r_score,
    coalesce(rfm.f_score, 0) as f_score,
    coalesce(rfm.m_score, 0) as m_score,
    coalesce(web.web_events, 0) as web_events,
    coalesce(web.product_views, 0) as product_views,
    coalesce(web.add_to_carts, 0) as add_to_carts,
    web.days_since_last_visit,
    web.days_since_last_cart,
    coalesce(categories.categories, 0) as categories,
    -- Engagement
    cast(coalesce(engagement.engagement_score, 0) as decimal(18, 6)) as engagement_score,
    cast(coalesce(engagement.web_engagement, 0) as decimal(18, 6)) as web_engagement,
    cast(coalesce(engagement.message_engagement, 0) as decimal(18, 6)) as message_engagement,
    cast(coalesce(engagement.order_engagement, 0) as decimal(18, 6)) as order_engagement,
    cast(coalesce(engagement.survey_engagement, 0) as decimal(18, 6)) as survey_engagement,
    coalesce(engagement.engagement_level, 'none') as engagement_level,
    coalesce(messages.email_sends, 0) as email_sends,
    coalesce(messages.email_clicks, 0) as email_clicks,
    coalesce(messages.sms_sends, 0) as sms_sends,
    coalesce(messages.sms_clicks, 0) as sms_clicks,
    -- Psychographic
    survey.lifestyle,
    survey.interests,
    categories.top_category,
    -- Needs
    survey.top_need,
    -- Value
    cast(coalesce(orders.gross_lifetime, 0) as decimal(18, 3)) as gross_lifetime,
    cast(coalesce(orders.refunded, 0) as decimal(18, 3)) as refunded,
    cast(coalesce(orders.net_lifetime, 0) as decimal(18, 3)) as net_lifetime,
    -- Predicted, for buyers alone. p_alive is null where churn cannot be told from rare orders.
    lifetime.p_alive,
    lifetime.expected_orders_90d,
    lifetime.expected_orders_365d,
    cast(lifetime.expected_average_order_value as decimal(18, 2)) as expected_average_order_value,
    cast(lifetime.lifetime_value as decimal(18, 2)) as lifetime_value,
    lifetime.lifetime_value_decile,
    lifetime.lifetime_value_share,
    -- Found without rules: the kind of buyer, how like the champions who is none, and what to offer next
    buying.cluster_number as buying_cluster,
    champions.similarity as similarity_to_champions,
    offers.item as next_best_product,
    -- Lifecycle
    coalesce(lifecycle.lifecycle_stage, 'prospect') as lifecycle_stage,
    -- Surveys
    survey.nps,
    case
        when survey.nps >= 9 then 'promoter'
        when survey.nps >= 7 then 'passive'
        when survey.nps >= 0 then 'detractor'
    end as nps_group,
    survey.csat,
    -- Consent as given, and what may be sent after suppression
    coalesce(contacts.email_consent, false) as email_consent,
    coalesce(contacts.sms_consent, false) as sms_consent,
    coalesce(contacts.post_consent, false) as post_consent,
    coalesce(permissions.can_email, false) as can_email,
    coalesce(permissions.can_sms, false) as can_sms,
    coalesce(permissions.can_post, false) as can_post,
    case when permissions.customer_id is null then 'no_contact' else permissions.no_email_reason end as no_email_reason,
    case when permissions.customer_id is null then 'no_contact' else permissions.no_sms_reason end as no_sms_reason,
    case when permissions.customer_id is null then 'no_contact' else permissions.no_post_reason end as no_post_reason,
    coalesce(preferred.preferred_channel, 'none') as preferred_channel
from everybody
left join features.contacts as contacts
    on contacts.customer_id = everybody.customer_id
left join features.orders as orders
    on orders.customer_id = everybody.customer_id
left join predicted.lifetime as lifetime
    on lifetime.customer_id = everybody.customer_id
left join clustered.buying as buying
    on buying.customer_id = everybody.customer_id
left join similar.champions as champions
    on champions.customer_id = everybody.customer_id
left join offered.next_product as offers
    on offers.customer_id = everybody.customer_id
    and offers.rank = 1
left join features.products as products
    on products.customer_id = everybody.customer_id
left join features.web as web
    on web.customer_id = everybody.customer_id
left join features.categories as categories
    on categories.customer_id = everybody.customer_id
left join features.messages as messages
    on messages.customer_id = everybody.customer_id
left join features.survey as survey
    on survey.customer_id = everybody.customer_id
left join scores.rfm as rfm
    on rfm.customer_id = everybody.customer_id
left join scores.engagement as engagement
    on engagement.customer_id = everybody.customer_id
left join scores.permissions as permissions
    on permissions.customer_id = everybody.customer_id
left join scores.preferred_channel as preferred
    on preferred.customer_id = everybody.customer_id
left join scores.lifecycle as lifecycle
    on lifecycle.customer_id = everybody.customer_id
