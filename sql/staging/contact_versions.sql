-- Why: what a version of a contact says holds until the next one, and identifiers are compared in one spelling.
-- A row: one version of one contact, its number among them, when the next one replaced it (null for the newest), and
-- its identifiers.
select
    contact_id,
    updated_at,
    row_number() over (partition by contact_id order by updated_at) as version_number,
    lead(updated_at) over (partition by contact_id order by updated_at) as replaced_at,
    email_address(email) as email,
    phone_number(phone, $default_region) as phone,
    nullif(trim(loyalty_card), '') as card
from sources.contacts
-- A version without a number is nobody's; that it does not consent is in staging.message_opt_outs.
where identifier(contact_id, $null_values) is not null
