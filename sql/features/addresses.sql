-- Why: consent is worth nothing without an address that works and is the customer's own.
-- A row: one customer with a contact who has an e-mail address or phone number in force, and whether one of them
-- works and leads to the customer. One that stands for nobody, or for too many, leads to none.
-- A hard bounce condemns the address for as long as the contact has it, not the person: a new address may be tried.
with bounced as (
    select distinct
        t.contact_id,
        t.identifier_type,
        t.identifier
    from staging.message_opt_outs as r
    inner join staging.address_ownership as t
        on t.identifier_type = r.identifier_type
        and t.identifier = r.identifier
    where r.refusal = 'bounce'
        and (t.owned_from is null or r.occurred_at >= t.owned_from)
        and (t.owned_until is null or r.occurred_at < t.owned_until)
),

addresses as (
    select
        n.customer_id,
        a.identifier_type,
        b.contact_id is not null as has_bounced,
        i.customer_id is not null and b.contact_id is null as works
    from staging.contact_identifiers as a
    inner join identity.customers as n
        on n.identifier_type = 'customer'
        and n.identifier = a.contact_id
    left join identity.customers as i
        on i.identifier_type = a.identifier_type
        and i.identifier = a.identifier
        and i.customer_id = n.customer_id
    left join bounced as b
        on b.contact_id = a.contact_id
        and b.identifier_type = a.identifier_type
        and b.identifier = a.identifier
    where a.given_up_at is null
        and a.identifier_type in ('email', 'phone')
)

select
    customer_id,
    coalesce(bool_or(works) filter (where identifier_type = 'email'), false) as has_email,
    coalesce(bool_or(has_bounced) filter (where identifier_type = 'email'), false) as email_bounced,
    coalesce(bool_or(works) filter (where identifier_type = 'phone'), false) as has_phone,
    coalesce(bool_or(has_bounced) filter (where identifier_type = 'phone'), false) as phone_bounced
from addresses
group by customer_id
