-- Why: a customer who comes back after a long silence has been won back, and is not simply active.
-- A row: one customer who has ever returned, and the day of the latest return.
with order_days as (
    select distinct
        owner.customer_id,
        orders.order_date
    from staging.orders as orders
    inner join identity.customers as owner
        on owner.identifier_type = orders.identifier_type
        and owner.identifier = orders.identifier
    where orders.is_sale
),

silences as (
    select
        customer_id,
        order_date,
        order_date - lag(order_date) over (partition by customer_id order by order_date) as silent_days
    from order_days
)

select
    customer_id,
    max(order_date) as last_return_date
from silences
where silent_days > $lapsed_after_days
group by customer_id
