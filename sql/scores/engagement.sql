-- Why: how engaged a customer is now, in all channels together and in each.
-- A row: one customer with at least one weighted event in the window.
-- Web and message events got their points where they were counted: see staging. Orders and responses get theirs here.
with responses as (
    -- A response counts once, however many questions it answers.
    select distinct
        customer_id,
        identifier,
        cast(responded_at as date) as event_date
    from identity.answers
),

points as (
    select
        customer_id,
        'web' as channel,
        points
    from features.web
    union all
    select
        customer_id,
        'message' as channel,
        points
    from features.messages
    union all
    select
        owner.customer_id,
        engagement.channel,
        engagement.points
    from staging.engagement_points as engagement
    inner join staging.orders as orders
        on orders.order_date = engagement.event_date
    inner join identity.customers as owner
        on owner.identifier_type = orders.identifier_type
        and owner.identifier = orders.identifier
    where engagement.channel = 'order'
        and engagement.event_type = 'order'
        and orders.is_sale
    union all
    select
        responses.customer_id,
        engagement.channel,
        engagement.points
    from staging.engagement_points as engagement
    inner join responses
        on responses.event_date = engagement.event_date
    where engagement.channel = 'survey'
        and engagement.event_type = 'response'
),

totals as (
    select
        customer_id,
        sum(points) as points,
        coalesce(sum(points) filter (where channel = 'web'), 0) as web_points,
        coalesce(sum(points) filter (where channel = 'message'), 0) as message_points,
        coalesce(sum(points) filter (where channel = 'order'), 0) as order_points,
        coalesce(sum(points) filter (where channel = 'survey'), 0) as survey_points
    from points
    where points is not null
    group by customer_id
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
