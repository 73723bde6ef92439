-- Why: what was kept apart must be published, or nobody would know that a customer lost an address.
-- A row: one identifier that leads to nobody, one pair whose edges were set aside, blanks of a type in one source, or
-- an identifier that was another customer's in the publication before; and why.
-- Personal values are hashed as they are in customers' ids: `segmill explain --identity` shows what they are.
select
    reason,
    identifier_type,
    hashed_identifier as identifier,
    coalesce(other_type, '') as other_type,
    coalesce(hashed_other, '') as other,
    coalesce(source, '') as source,
    first_seen_at,
    last_seen_at,
    edges,
    customer_id,
    other_customer_id,
    explanation
from resolved.conflicts
