-- Why: how wide a range a customer buys from, for cross-selling.
-- A row: one customer who bought at least one product.
-- Postage, fees and manual entries are lines of an order but not products: see reference.service_codes.
with bought as (
    select distinct
        items.customer_id,
        items.product_code
    from features.order_items as items
    where not items.is_returned
        and not exists (
            select 1
            from reference.service_codes as service
            where service.product_code = items.product_code
        )
)

select
    customer_id,
    count(*) as products
from bought
group by customer_id
