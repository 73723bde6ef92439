-- Why: the purchase history of a customer, as models of purchases read it: see `predictions` in the pipeline file.
-- A row: one customer with at least one order.
-- Orders of one day are one purchase. Observation ends with the day before the as-of day.
with days as (
    select
        owner.customer_id,
        orders.order_date,
        sum(orders.gross_amount) as amount
    from staging.orders as orders
    inner join identity.customers as owner
        on owner.identifier_type = orders.identifier_type
        and owner.identifier = orders.identifier
    where orders.is_sale
    group by
        owner.customer_id,
        orders.order_date
),

firsts as (
    select
        customer_id,
        min(order_date) as first_date
    from days
    group by customer_id
)

select
    days.customer_id,
    count(*) - 1 as repeat_purchases,
    max(days.order_date) - min(days.order_date) as days_to_last_purchase,
    $as_of - min(days.order_date) - 1 as days_observed,
    cast(
        sum(days.amount) filter (where days.order_date > firsts.first_date) / nullif(count(*) - 1, 0) as decimal(18, 4)
    ) as average_order_value,
    array_agg(days.order_date order by days.order_date) as purchase_dates
from days
inner join firsts
    on firsts.customer_id = days.customer_id
group by days.customer_id
