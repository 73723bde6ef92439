-- Why: what people look at tells their interests before they buy or answer anything.
-- A row: how often one person or anonymous visitor looked at one product category.
select
    case when user_id is null then 'visitor' else 'customer' end as identifier_type,
    coalesce(user_id, visitor_id) as identifier,
    category,
    count(*) as views
from sources.web
where category is not null
group by
    user_id is null,
    coalesce(user_id, visitor_id),
    category
