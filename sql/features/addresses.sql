-- Why: consent is worth nothing without an address that works and is the customer's own.
-- A row: one customer with an e-mail address or phone number in force.
-- Of contacts who share an address only one gets the message: the customer it leads to.
-- A hard bounce condemns the address, not the person: a new address may be tried.
with addresses as (
    select
        i.customer_id,
        a.identifier_type,
        a.identifier
    from staging.contact_identifiers as a
    inner join staging.contacts as c
        on c.contact_id = a.contact_id
        and c.updated_at = a.last_seen_at
    inner join identity.customers as n
        on n.identifier_type = 'customer'
        and n.identifier = a.contact_id
    inner join identity.customers as i
        on i.identifier_type = a.identifier_type
        and i.identifier = a.identifier
        and i.customer_id = n.customer_id
)
select
    a.customer_id,
    bool_or(a.identifier_type = 'email') as has_email,
    bool_or(a.identifier_type = 'phone') as has_phone
from addresses as a
left join staging.message_addresses as m
    on m.identifier_type = a.identifier_type
    and m.identifier = a.identifier
where coalesce(m.hard_bounces, 0) = 0
group by a.customer_id
