-- A row: one customer, with scores and what the CRM says.
with people as (
    select distinct customer_id from resolved.customers where customer_id is not null
),

contacts as (
    select
        resolved.customer_id,
        max(contacts.city) as city,
        max(contacts.country) as country,
        bool_and(coalesce(contacts.email_consent, false)) as has_consent
    from staging.contacts as contacts
    inner join resolved.customers as resolved
        on resolved.identifier_type = 'customer'
        and resolved.identifier = contacts.contact_id
    group by resolved.customer_id
)

select
    people.customer_id,
    contacts.city,
    contacts.country,
    coalesce(contacts.has_consent, false) and not coalesce(emails.has_opted_out, false) as may_email,
    orders.recency_days,
    coalesce(orders.orders, 0) as orders,
    coalesce(orders.revenue, 0) as revenue,
    coalesce(rfm.r_score, 0) as r_score,
    coalesce(rfm.f_score, 0) as f_score,
    coalesce(rfm.m_score, 0) as m_score,
    coalesce(web.web_events, 0) as web_events,
    coalesce(web.web_points, 0) / cast(1000000 as double) as web_score,
    coalesce(emails.clicked_emails, 0) as clicked_emails,
    coalesce(emails.email_points, 0) / cast(1000000 as double) as email_score,
    web.last_web_date
from people
left join contacts on contacts.customer_id = people.customer_id
left join features.orders as orders on orders.customer_id = people.customer_id
left join scores.rfm as rfm on rfm.customer_id = people.customer_id
left join features.web as web on web.customer_id = people.customer_id
left join features.emails as emails on emails.customer_id = people.customer_id
