-- Why: the range a customer buys from needs products, not order lines.
-- A row: one product that one identified customer has bought.
-- Postage, fees and manual entries are lines of an order but not products: see reference.service_codes.
select
    'customer' as identifier_type,
    lines.customer_id as identifier,
    lines.product_code
from sources.orders as lines
where lines.customer_id is not null
    and lines.quantity > 0
    and lines.unit_price > 0
    and lines.order_id not like 'C%'
    and not exists (
        select 1
        from reference.service_codes as service
        where service.product_code = lines.product_code
    )
group by
    lines.customer_id,
    lines.product_code
