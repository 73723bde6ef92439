-- Why: who stored a customer's id must find the customer again after a merge.
-- A row: one id that was a customer's until it became one with an older customer, whose id stays.
select
    alias_id,
    customer_id,
    merged_at
from resolved.aliases
