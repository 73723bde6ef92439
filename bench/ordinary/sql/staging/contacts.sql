-- A row: one contact of the CRM, in its latest version.
select
    contact_id,
    lower(trim(email)) as email,
    first_name,
    city,
    country,
    email_consent,
    updated_at
from sources.contacts
