-- Why: the rows as the contract reads them.
-- The items of those purchases: one row for each.
-- A row: an item of an event.
select
    visitor_id,
    item_number,
    item_id,
    quantity,
    unit_price
from sources.ga4_items
