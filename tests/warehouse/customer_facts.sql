-- Why: values of every type, lists among them, for the tests of loading.
-- A row: one customer.
with moments as (
    select
        owner.customer_id,
        array_agg(orders.first_ordered_at order by orders.first_ordered_at, orders.order_id) as moments,
        max(orders.first_ordered_at) as last_moment
    from staging.orders as orders
    inner join identity.customers as owner
        on owner.identifier_type = orders.identifier_type
        and owner.identifier = orders.identifier
    group by owner.customer_id
)

select
    customers.customer_id,
    make_array(customers.lifecycle_stage, null, 'it''s "so", {a\b}', '', 'NULL') as "Words, of ""x""",
    make_array(customers.first_order_date, null) as order_dates,
    make_array(customers.monetary, null) as amounts,
    moments.moments,
    make_array(customers.frequency) as counts,
    make_array(customers.has_orders, null) as flags,
    make_array(customers.p_alive, customers.expected_orders_90d) as chances,
    moments.last_moment
from customers
left join moments on moments.customer_id = customers.customer_id
