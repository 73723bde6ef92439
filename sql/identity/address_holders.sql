-- Why: an address must lead to one customer, though several contacts may have given it.
-- A row: one e-mail address or phone number and the customer it leads to.
-- Whoever gave it last still holds it before whoever gave it up; then customers who order come before
-- contacts who never did; then the shorter, then the smaller number (numeric order for numbers).
with claims as (
    select
        i.identifier_type,
        i.identifier,
        concat(
            case when i.last_seen_at = c.updated_at then '0' else '1' end,
            case when k.has_orders then '0' else '1' end,
            lpad(cast(length(i.contact_id) as varchar), 3, '0'),
            i.contact_id
        ) as claim
    from staging.contact_identifiers as i
    inner join staging.contacts as c
        on c.contact_id = i.contact_id
    inner join identity.known_customers as k
        on k.customer_id = i.contact_id
)
select
    identifier_type,
    identifier,
    substr(min(claim), 6) as customer_id
from claims
group by
    identifier_type,
    identifier
