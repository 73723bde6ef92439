-- Why: what each segment is like and what to do with it, for the people who act on it.
-- A row: one segment of one set, also when nobody is in it.
with everybody as (
    select count(*) as customers
    from customers
),

members as (
    select
        m.segment_set,
        m.segment,
        count(*) as customers,
        sum(c.monetary) as revenue,
        sum(c.net_lifetime) as net_lifetime,
        sum(c.gross_lifetime) as gross_lifetime,
        sum(c.lifetime_orders) as lifetime_orders,
        sum(cast(c.frequency > 0 as bigint)) as buyers,
        sum(c.r_score) as r_scores,
        sum(c.f_score) as f_scores,
        sum(c.m_score) as m_scores,
        sum(c.engagement_score) as engagement_scores,
        sum(cast(c.can_email as bigint)) as can_email,
        sum(cast(c.can_sms as bigint)) as can_sms,
        sum(cast(c.can_post as bigint)) as can_post
    from segment_membership as m
    inner join customers as c
        on c.customer_id = m.customer_id
    group by
        m.segment_set,
        m.segment
)

select
    s.segment_set,
    s.segment,
    s.set_kind,
    s.priority,
    s.description,
    s.action,
    s.channel,
    coalesce(m.customers, 0) as customers,
    cast(cast(coalesce(m.customers, 0) as decimal(18, 6)) / nullif(e.customers, 0) as decimal(9, 6)) as share,
    cast(coalesce(m.revenue, 0) as decimal(18, 3)) as revenue,
    cast(coalesce(m.net_lifetime, 0) as decimal(18, 3)) as net_lifetime,
    cast(m.gross_lifetime / nullif(m.lifetime_orders, 0) as decimal(18, 2)) as average_order_value,
    -- Means of R, F and M are of the buyers alone: a 0 means no order in the window, not a low score.
    cast(cast(m.r_scores as decimal(18, 0)) / nullif(m.buyers, 0) as decimal(9, 2)) as mean_r_score,
    cast(cast(m.f_scores as decimal(18, 0)) / nullif(m.buyers, 0) as decimal(9, 2)) as mean_f_score,
    cast(cast(m.m_scores as decimal(18, 0)) / nullif(m.buyers, 0) as decimal(9, 2)) as mean_m_score,
    cast(m.engagement_scores / m.customers as decimal(18, 2)) as mean_engagement,
    coalesce(m.can_email, 0) as can_email,
    coalesce(m.can_sms, 0) as can_sms,
    coalesce(m.can_post, 0) as can_post
from segments as s
cross join everybody as e
left join members as m
    on m.segment_set = s.segment_set
    and m.segment = s.segment
