-- Why: the range a customer buys from needs products, not order lines.
-- A row: one product that one identified customer has bought.
-- Postage, fees and manual entries are lines of an order but not products: see reference.service_codes.
select
    'customer' as identifier_type,
    o.customer_id as identifier,
    o.product_code
from sources.orders as o
where o.customer_id is not null
    and o.quantity > 0
    and o.unit_price > 0
    and o.order_id not like 'C%'
    and not exists (
        select 1
        from reference.service_codes as s
        where s.product_code = o.product_code
    )
group by
    o.customer_id,
    o.product_code
