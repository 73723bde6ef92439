-- Why: how customers buy says what kind of buyers they are, whenever they bought last:
-- see `clusters` in the pipeline file.
-- A row: one customer with at least one order.
-- Items are lines of orders, however many pieces they are of.
with bought as (
    select
        customer_id,
        count(*) as items
    from features.order_items
    where not is_returned
    group by customer_id
)

select
    orders.customer_id,
    orders.average_order_value,
    cast(
        cast(coalesce(bought.items, 0) as decimal(18, 4)) / orders.lifetime_orders as decimal(18, 4)
    ) as items_per_order,
    orders.lifetime_orders,
    orders.days_since_last_order,
    orders.country
from features.orders as orders
left join bought
    on bought.customer_id = orders.customer_id
where orders.lifetime_orders > 0
