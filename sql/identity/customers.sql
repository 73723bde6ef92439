-- Why: one person, one row: every identifier that an extract may carry leads to one customer.
-- A row: one identifier (customer, email, phone, card or visitor) and its customer, as found from identity.edges.
-- A blocked or shared identifier leads to nobody and is not here: see identity.conflicts.
select
    identifier_type,
    identifier,
    customer_id
from resolved.customers
