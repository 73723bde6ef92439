-- Why: consent is worth nothing without an address that works and is the customer's own.
-- A row: one customer with a contact who has an e-mail address or phone number in force, and whether one of them
-- works and leads to the customer. A blocked or shared one leads to nobody.
-- A hard bounce condemns the address for as long as the contact owns it, not the person: a new address may be tried.
with bounced as (
    select distinct
        ownership.contact_id,
        ownership.identifier_type,
        ownership.identifier
    from staging.message_opt_outs as opt_outs
    inner join staging.address_ownership as ownership
        on ownership.identifier_type = opt_outs.identifier_type
        and ownership.identifier = opt_outs.identifier
    where opt_outs.kind = 'bounce'
        and (ownership.owned_from is null or opt_outs.occurred_at >= ownership.owned_from)
        and (ownership.owned_until is null or opt_outs.occurred_at < ownership.owned_until)
),

addresses as (
    select
        owner.customer_id,
        contact.identifier_type,
        bounced.contact_id is not null as has_bounced,
        (led_to.customer_id is not null and bounced.contact_id is null) as works
    from staging.contact_identifiers as contact
    inner join identity.customers as owner
        on owner.identifier_type = 'customer'
        and owner.identifier = contact.contact_id
    left join identity.customers as led_to
        on led_to.identifier_type = contact.identifier_type
        and led_to.identifier = contact.identifier
        and led_to.customer_id = owner.customer_id
    left join bounced
        on bounced.contact_id = contact.contact_id
        and bounced.identifier_type = contact.identifier_type
        and bounced.identifier = contact.identifier
    where contact.given_up_at is null
        and contact.identifier_type in ('email', 'phone')
)

select
    customer_id,
    coalesce(bool_or(works) filter (where identifier_type = 'email'), false) as has_email,
    coalesce(bool_or(has_bounced) filter (where identifier_type = 'email'), false) as email_bounced,
    coalesce(bool_or(works) filter (where identifier_type = 'phone'), false) as has_phone,
    coalesce(bool_or(has_bounced) filter (where identifier_type = 'phone'), false) as phone_bounced
from addresses
group by customer_id
