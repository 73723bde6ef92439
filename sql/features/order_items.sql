-- Why: what customers buy says what to offer to others who buy the same.
-- A row: one line of an order, with what its customer bought or returned.
-- Lines of cancelled orders (C...) are returns. Service codes are left out by the affinity that reads this.
select
    owner.customer_id,
    lines.product_code,
    cast(lines.ordered_at as date) as ordered_on,
    lines.order_id like 'C%' as is_returned
from sources.orders as lines
inner join identity.customers as owner
    on owner.identifier_type = 'customer'
    and owner.identifier = lines.customer_id
where lines.order_id like 'C%'
    or (lines.quantity > 0 and lines.unit_price > 0)
