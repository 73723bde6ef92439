-- Why: how wide a range a customer buys from, for cross-selling.
-- A row: one customer who bought at least one product.
-- Several numbers of one person may have bought the same product, so pairs are made distinct before they are counted.
with bought as (
    select distinct
        owner.customer_id,
        products.product_code
    from staging.order_products as products
    inner join identity.customers as owner
        on owner.identifier_type = products.identifier_type
        and owner.identifier = products.identifier
)

select
    customer_id,
    count(*) as products
from bought
group by customer_id
