-- Why: orders, the CRM and logins all name customers by the same number; each may know some the others do not.
-- A row: one customer number, and whether it has ever ordered.
with numbers as (
    select
        identifier as customer_id,
        true as has_orders
    from staging.orders
    union all
    select
        contact_id as customer_id,
        false as has_orders
    from staging.contacts
    union all
    select
        user_id as customer_id,
        false as has_orders
    from staging.web_logins
)
select
    customer_id,
    bool_or(has_orders) as has_orders
from numbers
group by customer_id
