-- Why: how wide a range a customer buys from, for cross-selling.
-- A row: one customer who bought at least one product.
-- Customers that are one person may have bought the same product, so pairs are made distinct before they are counted.
with bought as (
    select distinct
        i.customer_id,
        p.product_code
    from staging.order_products as p
    inner join identity.customers as i
        on i.identifier_type = p.identifier_type
        and i.identifier = p.identifier
)

select
    customer_id,
    count(*) as products
from bought
group by customer_id
