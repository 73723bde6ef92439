-- Why: the categories a customer looks at, as a sign of interest.
-- A row: one customer who has looked at a category. Ties for the top go to the name that sorts last.
with views as (
    select
        i.customer_id,
        w.category,
        sum(w.views) as views
    from staging.web_categories as w
    inner join identity.customers as i
        on i.identifier_type = w.identifier_type
        and i.identifier = w.identifier
    group by
        i.customer_id,
        w.category
)
select
    customer_id,
    -- Twelve digits of the count, then the name.
    substr(max(concat(lpad(cast(views as varchar), 12, '0'), category)), 13) as top_category,
    count(*) as categories
from views
group by customer_id
