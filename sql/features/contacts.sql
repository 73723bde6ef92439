-- Why: who a customer is and where, and what they agreed to, as the CRM has it.
-- A row: one customer with at least one contact.
-- Where several contacts are one customer, the one updated last speaks, and consent needs all of them.
with contacts as (
    select
        i.customer_id,
        c.*,
        -- One text that sorts by time, in microseconds, and then by contact.
        concat(lpad(cast(cast(c.updated_at as bigint) as varchar), 20, '0'), c.contact_id) as version
    from staging.contacts as c
    inner join identity.customers as i
        on i.identifier_type = 'customer'
        and i.identifier = c.contact_id
),

latest as (
    select
        customer_id,
        max(version) as version,
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
    c.customer_id,
    cast(l.first_seen_at as date) as first_contact_date,
    -- Whole years: the day of birth as yyyymmdd, taken from the as-of day as yyyymmdd.
    case
        when c.birth_date between $as_of - 120 * 365 and $as_of
            then (cast(to_char($as_of, '%Y%m%d') as bigint) - cast(to_char(c.birth_date, '%Y%m%d') as bigint)) / 10000
    end as age,
    c.gender,
    c.income_band,
    c.education,
    c.job_title,
    c.household_size,
    c.city,
    c.region,
    c.country,
    l.has_loyalty_card,
    l.email_consent,
    l.sms_consent,
    l.post_consent,
    l.email_consent_since,
    l.sms_consent_since,
    l.post_consent_since
from contacts as c
inner join latest as l
    on l.customer_id = c.customer_id
    and l.version = c.version
