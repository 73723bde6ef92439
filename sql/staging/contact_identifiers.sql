-- Why: events carry an address, not a contact; an old address still names the person who had it.
-- A row: one e-mail address or phone number that one contact has, or has had, and when last.
-- E-mail is compared trimmed and lower-cased, phone numbers in E.164 (+447700900123).
with emails as (
    select
        contact_id,
        updated_at,
        lower(trim(email)) as email
    from sources.contacts
    where email is not null
),

dialled as (
    select
        contact_id,
        updated_at,
        -- '+44 (0)7700 900123' writes a zero that nobody dials.
        regexp_replace(replace(phone, '(0)', ''), '[^0-9+]', '', 'g') as digits
    from sources.contacts
    where phone is not null
),

phones as (
    select
        contact_id,
        updated_at,
        case
            when starts_with(digits, '+') then digits
            when starts_with(digits, '00') then concat('+', substr(digits, 3))
            when starts_with(digits, '0') then concat('+', $default_calling_code, substr(digits, 2))
            else concat('+', digits)
        end as phone
    from dialled
)

select
    contact_id,
    'email' as identifier_type,
    email as identifier,
    max(updated_at) as last_seen_at
from emails
group by
    contact_id,
    email
union all
select
    contact_id,
    'phone' as identifier_type,
    phone as identifier,
    max(updated_at) as last_seen_at
from phones
-- E.164: a country code, which never starts with 0, and 15 digits at most.
where regexp_like(phone, '^[+][1-9][0-9]{7,14}$')
group by
    contact_id,
    phone
