-- Why: one person, one row: every identifier that an extract may carry leads to one customer.
-- A row: one identifier (customer, email, phone or visitor) and its customer.
select
    'customer' as identifier_type,
    customer_id as identifier,
    customer_id
from identity.known_customers
union all
select
    'email' as identifier_type,
    e.email as identifier,
    -- Subscribers and respondents whom nobody else knows are customers too,
    -- under a number that does not show their address.
    coalesce(
        h.customer_id,
        concat('email:', substr(encode(sha256(e.email), 'hex'), 1, 20))
    ) as customer_id
from identity.usable_emails as e
left join identity.address_holders as h
    on h.identifier_type = 'email'
    and h.identifier = e.email
union all
select
    identifier_type,
    identifier,
    customer_id
from identity.address_holders
where identifier_type = 'phone'
union all
select
    'visitor' as identifier_type,
    visitor_id as identifier,
    user_id as customer_id
from identity.visitors
