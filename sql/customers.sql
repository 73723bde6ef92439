-- Why: the customer profile: every base of segmentation side by side. Segment rules read this table.
-- A row: one customer. Personal data stay out: no name, no address, no day of birth.
-- A count or amount without events is 0; a trait nobody told us is null.
with everybody as (
    select distinct customer_id
    from identity.customers
)
select
    e.customer_id,
    c.customer_id is not null as is_contact,
    coalesce(o.lifetime_orders > 0, false) as has_orders,
    least(
        c.first_contact_date,
        o.first_order_date,
        w.first_visit_date,
        m.first_message_date,
        s.first_response_date
    ) as first_seen_date,
    -- Demographic
    c.age,
    c.gender,
    c.income_band,
    c.education,
    c.job_title,
    c.household_size,
    -- Geographic
    coalesce(c.country, o.country) as country,
    c.region,
    c.city,
    -- Technographic
    w.primary_platform,
    w.primary_device,
    w.primary_os,
    w.primary_browser,
    coalesce(w.setups, 0) as setups,
    -- Behavioural
    coalesce(o.lifetime_orders, 0) as lifetime_orders,
    o.first_order_date,
    o.last_order_date,
    o.days_since_last_order,
    o.average_order_value,
    o.average_days_between_orders,
    coalesce(p.products, 0) as products,
    coalesce(c.has_loyalty_card, false) as has_loyalty_card,
    r.recency_days,
    coalesce(r.frequency, 0) as frequency,
    cast(coalesce(r.monetary, 0) as decimal(18, 3)) as monetary,
    coalesce(r.r_score, 0) as r_score,
    coalesce(r.f_score, 0) as f_score,
    coalesce(r.m_score, 0) as m_score,
    coalesce(w.web_events, 0) as web_events,
    coalesce(w.product_views, 0) as product_views,
    coalesce(w.add_to_carts, 0) as add_to_carts,
    w.days_since_last_visit,
    w.days_since_last_cart,
    coalesce(k.categories, 0) as categories,
    -- Engagement
    cast(coalesce(g.engagement_score, 0) as decimal(18, 6)) as engagement_score,
    cast(coalesce(g.web_engagement, 0) as decimal(18, 6)) as web_engagement,
    cast(coalesce(g.message_engagement, 0) as decimal(18, 6)) as message_engagement,
    cast(coalesce(g.order_engagement, 0) as decimal(18, 6)) as order_engagement,
    cast(coalesce(g.survey_engagement, 0) as decimal(18, 6)) as survey_engagement,
    coalesce(g.engagement_level, 'none') as engagement_level,
    coalesce(m.email_sends, 0) as email_sends,
    coalesce(m.email_clicks, 0) as email_clicks,
    coalesce(m.sms_sends, 0) as sms_sends,
    coalesce(m.sms_clicks, 0) as sms_clicks,
    -- Psychographic
    s.lifestyle,
    s.interests,
    k.top_category,
    -- Needs
    s.top_need,
    -- Value
    cast(coalesce(o.gross_lifetime, 0) as decimal(18, 3)) as gross_lifetime,
    cast(coalesce(o.refunded, 0) as decimal(18, 3)) as refunded,
    cast(coalesce(o.net_lifetime, 0) as decimal(18, 3)) as net_lifetime,
    -- Lifecycle
    coalesce(l.lifecycle_stage, 'prospect') as lifecycle_stage,
    -- Surveys
    s.nps,
    case
        when s.nps >= 9 then 'promoter'
        when s.nps >= 7 then 'passive'
        when s.nps >= 0 then 'detractor'
    end as nps_group,
    s.csat,
    -- Consent as given, and what may be sent after suppression
    coalesce(c.email_consent, false) as email_consent,
    coalesce(c.sms_consent, false) as sms_consent,
    coalesce(c.post_consent, false) as post_consent,
    coalesce(a.can_email, false) as can_email,
    coalesce(a.can_sms, false) as can_sms,
    coalesce(a.can_post, false) as can_post,
    case when a.customer_id is null then 'no_contact' else a.no_email_reason end as no_email_reason,
    case when a.customer_id is null then 'no_contact' else a.no_sms_reason end as no_sms_reason,
    case when a.customer_id is null then 'no_contact' else a.no_post_reason end as no_post_reason,
    coalesce(h.preferred_channel, 'none') as preferred_channel
from everybody as e
left join features.contacts as c
    on c.customer_id = e.customer_id
left join features.orders as o
    on o.customer_id = e.customer_id
left join features.products as p
    on p.customer_id = e.customer_id
left join features.web as w
    on w.customer_id = e.customer_id
left join features.categories as k
    on k.customer_id = e.customer_id
left join features.messages as m
    on m.customer_id = e.customer_id
left join features.survey as s
    on s.customer_id = e.customer_id
left join scores.rfm as r
    on r.customer_id = e.customer_id
left join scores.engagement as g
    on g.customer_id = e.customer_id
left join scores.permissions as a
    on a.customer_id = e.customer_id
left join scores.preferred_channel as h
    on h.customer_id = e.customer_id
left join scores.lifecycle as l
    on l.customer_id = e.customer_id
