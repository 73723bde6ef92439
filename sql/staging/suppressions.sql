-- Why: some must not be written to whatever they or the CRM say: by law, by request, by death.
-- A row: one suppression of a channel, or of every one (null: also where it cannot be read), and one contact number,
-- e-mail address or phone number that can be read in it, in whichever column it stands; none (null) where none can.
with suppressions as (
    select
        identifier(contact_id, $null_values) as contact_id,
        contact_id as contact_id_as_written,
        channel,
        reason,
        suppressed_at,
        concat_ws(', ', contact_id, email, phone) as written,
        -- Without the contact number, which often could be read as a phone number.
        concat_ws(', ', email, phone) as addresses
    from sources.suppressions
),

parsed as (
    select
        contact_id,
        contact_id_as_written,
        channel,
        reason,
        suppressed_at,
        written,
        email_addresses(written) as emails,
        phone_numbers(addresses, $default_region) as phones
    from suppressions
)

select
    'customer' as identifier_type,
    -- As the CRM writes it, and without the blanks around it.
    unnest(array_distinct(make_array(contact_id, contact_id_as_written))) as identifier,
    channel,
    reason,
    suppressed_at,
    written
from parsed
where contact_id is not null
union all
select
    'email' as identifier_type,
    unnest(emails) as identifier,
    channel,
    reason,
    suppressed_at,
    written
from parsed
union all
select
    'phone' as identifier_type,
    unnest(phones) as identifier,
    channel,
    reason,
    suppressed_at,
    written
from parsed
union all
select
    cast(null as varchar) as identifier_type,
    cast(null as varchar) as identifier,
    channel,
    reason,
    suppressed_at,
    written
from parsed
where contact_id is null
    and cardinality(emails) = 0
    and cardinality(phones) = 0
