-- Why: the rows as the contract reads them.
-- Order lines of a shop: what belongs to the whole order stands in its first line alone.
-- A row: an order line.
select
    order_id,
    item,
    ordered_at,
    email,
    status,
    order_total,
    quantity,
    unit_price,
    accepts_marketing
from sources.shop_orders
