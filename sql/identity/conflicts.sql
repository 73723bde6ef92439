-- Why: what was kept apart must be told, or nobody would know that a customer lost an address.
-- A row: one identifier that leads to nobody, or one pair that was not tied, and why.
-- Personal values are hashed as customers' ids are: `segmill explain --identity` shows what they are.
with hashed as (
    select
        *,
        case
            when identifier_type in ('customer', 'visitor') then identifier
            else concat(identifier_type, ':', substr(encode(sha256(identifier), 'hex'), 1, 20))
        end as shown,
        case
            when other_type in ('customer', 'visitor') then other
            else concat(other_type, ':', substr(encode(sha256(other), 'hex'), 1, 20))
        end as other_shown
    from resolved.conflicts
)

select
    reason,
    identifier_type,
    shown as identifier,
    coalesce(other_type, '') as other_type,
    case when other_type is null then '' else other_shown end as other,
    coalesce(source, '') as source,
    first_seen_at,
    last_seen_at,
    ties,
    customer_id,
    other_customer_id,
    explanation
from hashed
