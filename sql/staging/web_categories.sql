-- Why: what people look at tells their interests before they buy or answer anything.
-- A row: how often one person or anonymous visitor looked at one product category.
with events as (
    select
        visitor_id,
        -- A word for nobody ('undefined') is no login.
        case when identifier(user_id, $null_values) is not null then user_id end as user_id,
        category
    from sources.web
    where category is not null
)

select
    case when user_id is null then 'visitor' else 'customer' end as identifier_type,
    coalesce(user_id, visitor_id) as identifier,
    category,
    count(*) as views
from events
group by
    user_id is null,
    coalesce(user_id, visitor_id),
    category
