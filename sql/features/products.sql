-- Why: how wide a range a customer buys from, for cross-selling.
-- A row: one customer who bought at least one product.
select
    i.customer_id,
    count(distinct p.product_code) as products
from staging.order_products as p
inner join identity.customers as i
    on i.identifier_type = p.identifier_type
    and i.identifier = p.identifier
group by i.customer_id
