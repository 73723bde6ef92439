-- Why: how engaged a customer is now, in all channels together and in each.
-- A row: one customer with at least one weighted event in the window.
-- Points are summed by identifier before identity is looked up: that keeps the join small.
with points as (
    select
        n.identifier_type,
        n.identifier,
        n.channel,
        sum(n.events * p.points) as points
    -- The small table comes first: a join holds its first side in memory.
    from scores.engagement_points as p
    inner join staging.interactions as n
        on n.channel = p.channel
        and n.event_type = p.event_type
        and n.event_date = p.event_date
    where n.event_date >= $as_of - $engagement_window_days
    group by
        n.identifier_type,
        n.identifier,
        n.channel
),

totals as (
    select
        i.customer_id,
        sum(p.points) as points,
        coalesce(sum(p.points) filter (where p.channel = 'web'), 0) as web_points,
        coalesce(sum(p.points) filter (where p.channel in ('email', 'sms')), 0) as message_points,
        coalesce(sum(p.points) filter (where p.channel = 'order'), 0) as order_points,
        coalesce(sum(p.points) filter (where p.channel = 'survey'), 0) as survey_points
    from points as p
    inner join identity.customers as i
        on i.identifier_type = p.identifier_type
        and i.identifier = p.identifier
    group by i.customer_id
)

-- From millionths to a decimal, exactly: a division would round.
select
    customer_id,
    cast(points * cast('0.000001' as decimal(7, 6)) as decimal(18, 6)) as engagement_score,
    cast(web_points * cast('0.000001' as decimal(7, 6)) as decimal(18, 6)) as web_engagement,
    cast(message_points * cast('0.000001' as decimal(7, 6)) as decimal(18, 6)) as message_engagement,
    cast(order_points * cast('0.000001' as decimal(7, 6)) as decimal(18, 6)) as order_engagement,
    cast(survey_points * cast('0.000001' as decimal(7, 6)) as decimal(18, 6)) as survey_engagement,
    case
        when points >= $high_engagement * 1000000 then 'high'
        when points >= $medium_engagement * 1000000 then 'medium'
        when points > 0 then 'low'
        else 'none'
    end as engagement_level
from totals
