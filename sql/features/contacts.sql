-- Why: who a customer is and where, and what they agreed to, as the CRM has it.
-- A row: one customer with at least one contact.
-- Where several contacts are one customer, the one updated last speaks (of equally late ones the one whose number sorts
-- last), and consent needs all of them.
with contacts as (
    select
        owner.customer_id,
        contacts.*
    from staging.contacts as contacts
    inner join identity.customers as owner
        on owner.identifier_type = 'customer'
        and owner.identifier = contacts.contact_id
),

together as (
    select
        customer_id,
        arg_max(contact_id, updated_at) as latest_contact_id,
        min(first_seen_at) as first_seen_at,
        bool_or(has_loyalty_card) as has_loyalty_card,
        bool_and(email_consent) as email_consent,
        bool_and(sms_consent) as sms_consent,
        bool_and(post_consent) as post_consent,
        max(email_consent_since) as email_consent_since,
        max(sms_consent_since) as sms_consent_since,
        max(post_consent_since) as post_consent_since
    from contacts
    group by customer_id
)

select
    together.customer_id,
    cast(together.first_seen_at as date) as first_contact_date,
    -- Whole years: the day of birth as yyyymmdd, taken from the as-of day as yyyymmdd.
    case
        when latest.birth_date between $as_of - 120 * 365 and $as_of then
            (cast(to_char($as_of, '%Y%m%d') as bigint) - cast(to_char(latest.birth_date, '%Y%m%d') as bigint)) / 10000
    end as age,
    latest.gender,
    latest.income_band,
    latest.education,
    latest.job_title,
    latest.household_size,
    latest.city,
    latest.region,
    latest.country,
    together.has_loyalty_card,
    together.email_consent,
    together.sms_consent,
    together.post_consent,
    together.email_consent_since,
    together.sms_consent_since,
    together.post_consent_since
from together
inner join staging.contacts as latest
    on latest.contact_id = together.latest_contact_id
