-- Why: how engaged a customer is now, in all channels together and in each.
-- A row: one customer with at least one weighted event in the window.
-- Web and message events got their points where they were counted; orders and responses get theirs here.
with responses as (
    -- A response counts once, however many questions it answers.
    select distinct
        identifier_type,
        identifier,
        cast(responded_at as date) as event_date
    from staging.survey_answers
),

points as (
    select
        case when user_id is null then 'visitor' else 'customer' end as identifier_type,
        coalesce(user_id, visitor_id) as identifier,
        'web' as channel,
        points
    from staging.web_setups
    union all
    select
        identifier_type,
        identifier,
        channel,
        points
    from staging.message_addresses
    union all
    select
        o.identifier_type,
        o.identifier,
        p.channel,
        p.points
    from staging.engagement_points as p
    inner join staging.orders as o
        on o.order_date = p.event_date
    where p.channel = 'order'
        and p.event_type = 'order'
        and o.is_sale
    union all
    select
        r.identifier_type,
        r.identifier,
        p.channel,
        p.points
    from staging.engagement_points as p
    inner join responses as r
        on r.event_date = p.event_date
    where p.channel = 'survey'
        and p.event_type = 'response'
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
    where p.points is not null
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
