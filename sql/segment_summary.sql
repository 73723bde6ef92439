-- Why: what each segment is like and what to do with it, for the people who act on it.
-- A row: one segment of one set, also when nobody is in it.
with everybody as (
    select count(*) as customers
    from customers
),

members as (
    select
        membership.segment_set,
        membership.segment,
        count(*) as customers,
        sum(customers.monetary) as revenue,
        sum(customers.net_lifetime) as net_lifetime,
        sum(customers.gross_lifetime) as gross_lifetime,
        sum(customers.lifetime_orders) as lifetime_orders,
        sum(cast(customers.frequency > 0 as bigint)) as buyers,
        sum(customers.r_score) as r_scores,
        sum(customers.f_score) as f_scores,
        sum(customers.m_score) as m_scores,
        sum(customers.engagement_score) as engagement_scores,
        sum(cast(customers.can_email as bigint)) as can_email,
        sum(cast(customers.can_sms as bigint)) as can_sms,
        sum(cast(customers.can_post as bigint)) as can_post
    from segment_membership as membership
    inner join customers
        on customers.customer_id = membership.customer_id
    group by
        membership.segment_set,
        membership.segment
),

-- The three strongest traits that the rules do not say already.
traits as (
    select
        segment_set,
        segment,
        string_agg(description, '; ' order by rank) as traits
    from (
        select
            segment_set,
            segment,
            rank,
            description,
            row_number() over (partition by segment_set, segment order by rank) as place
        from segment_traits
        where not is_in_rule
    ) as ranked
    where place <= 3
    group by
        segment_set,
        segment
)

select
    segments.segment_set,
    segments.segment,
    segments.set_kind,
    segments.priority,
    segments.description,
    segments.action,
    segments.channel,
    coalesce(members.customers, 0) as customers,
    cast(
        cast(coalesce(members.customers, 0) as decimal(18, 6)) / nullif(everybody.customers, 0) as decimal(9, 6)
    ) as share,
    cast(coalesce(members.revenue, 0) as decimal(18, 3)) as revenue,
    cast(coalesce(members.net_lifetime, 0) as decimal(18, 3)) as net_lifetime,
    cast(members.gross_lifetime / nullif(members.lifetime_orders, 0) as decimal(18, 2)) as average_order_value,
    -- Means of R, F and M are of the buyers alone: a 0 means no order in the window, not a low score.
    cast(cast(members.r_scores as decimal(18, 0)) / nullif(members.buyers, 0) as decimal(9, 2)) as mean_r_score,
    cast(cast(members.f_scores as decimal(18, 0)) / nullif(members.buyers, 0) as decimal(9, 2)) as mean_f_score,
    cast(cast(members.m_scores as decimal(18, 0)) / nullif(members.buyers, 0) as decimal(9, 2)) as mean_m_score,
    cast(members.engagement_scores / members.customers as decimal(18, 2)) as mean_engagement,
    coalesce(members.can_email, 0) as can_email,
    coalesce(members.can_sms, 0) as can_sms,
    coalesce(members.can_post, 0) as can_post,
    traits.traits
from segments
cross join everybody
left join members
    on members.segment_set = segments.segment_set
    and members.segment = segments.segment
left join traits
    on traits.segment_set = segments.segment_set
    and traits.segment = segments.segment
