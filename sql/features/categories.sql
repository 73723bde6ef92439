-- Why: the categories a customer looks at, as a sign of interest.
-- A row: one customer who has looked at a category. Of categories with equally many views the name that sorts last is
-- the top one.
with views as (
    select
        owner.customer_id,
        categories.category,
        sum(categories.views) as views
    from staging.web_categories as categories
    inner join identity.customers as owner
        on owner.identifier_type = categories.identifier_type
        and owner.identifier = categories.identifier
    group by
        owner.customer_id,
        categories.category
)

select
    customer_id,
    arg_max(category, views) as top_category,
    count(*) as categories
from views
group by customer_id
