-- Why: the rows as the contract reads them.
-- The answer of an API: one array of objects over many lines.
-- A row: a customer.
select
    customer_id,
    updated_at,
    email,
    tags,
    lifetime_value
from sources.api
