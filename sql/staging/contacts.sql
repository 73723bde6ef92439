-- Why: the CRM sends every version of a contact; a profile wants the one in force.
-- A row: one contact, in its latest version, with the time since when each consent has stood.
-- Missing consent is no consent. A consent stands since the first yes after the last version without one: an address
-- change that repeats an old yes does not renew it.
-- A version is unique by contact and time, so joining on both keeps exactly one. Of versions of one moment the contract
-- keeps the one that consents to less.
with last_without_consent as (
    select
        contact_id,
        max(updated_at) filter (where email_consent is not true) as without_email_at,
        max(updated_at) filter (where sms_consent is not true) as without_sms_at,
        max(updated_at) filter (where post_consent is not true) as without_post_at
    from sources.contacts
    group by contact_id
),

latest as (
    select
        versions.contact_id,
        min(versions.updated_at) as first_seen_at,
        max(versions.updated_at) as updated_at,
        min(versions.updated_at) filter (
            where last.without_email_at is null or versions.updated_at > last.without_email_at
        ) as email_consent_since,
        min(versions.updated_at) filter (
            where last.without_sms_at is null or versions.updated_at > last.without_sms_at
        ) as sms_consent_since,
        min(versions.updated_at) filter (
            where last.without_post_at is null or versions.updated_at > last.without_post_at
        ) as post_consent_since
    from sources.contacts as versions
    inner join last_without_consent as last
        on last.contact_id = versions.contact_id
    group by versions.contact_id
)

select
    versions.contact_id,
    latest.first_seen_at,
    versions.updated_at,
    versions.birth_date,
    versions.gender,
    versions.income_band,
    versions.education,
    versions.job_title,
    versions.household_size,
    versions.city,
    versions.region,
    versions.country,
    versions.loyalty_card is not null as has_loyalty_card,
    coalesce(versions.email_consent, false) as email_consent,
    coalesce(versions.sms_consent, false) as sms_consent,
    coalesce(versions.post_consent, false) as post_consent,
    latest.email_consent_since,
    latest.sms_consent_since,
    latest.post_consent_since
from sources.contacts as versions
inner join latest
    on latest.contact_id = versions.contact_id
    and latest.updated_at = versions.updated_at
