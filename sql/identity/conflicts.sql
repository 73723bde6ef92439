-- Why: what was kept apart must be told, or nobody would know that a customer lost an address.
-- A row: one identifier that leads to nobody, one pair that was not tied, blanks of a type in one source, or an
-- identifier that was another customer's in the publication before; and why.
-- Personal values are hashed as customers' ids are: `segmill explain --identity` shows what they are.
with hashed as (
    select
        *,
        case
            when identifier_type in ('customer', 'visitor') or identifier = '' then identifier
            else concat(identifier_type, ':', identifier_hash(identifier))
        end as shown,
        case
            when other_type in ('customer', 'visitor') then other
            else concat(other_type, ':', identifier_hash(other))
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
