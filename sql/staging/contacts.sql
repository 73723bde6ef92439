-- Why: the CRM sends every version of a contact; a profile wants the one in force.
-- A row: one contact, in its latest version, with the time since when each consent has stood.
-- Missing consent is no consent. A consent stands since the first yes after the last version without
-- one: an address change that repeats an old yes does not renew it.
-- A version is unique by contact and time, so joining on both keeps exactly one. Of versions of one moment the contract
-- keeps a no.
with refusals as (
    select
        contact_id,
        max(updated_at) filter (where email_consent is not true) as email_refused_at,
        max(updated_at) filter (where sms_consent is not true) as sms_refused_at,
        max(updated_at) filter (where post_consent is not true) as post_refused_at
    from sources.contacts
    group by contact_id
),

latest as (
    select
        c.contact_id,
        min(c.updated_at) as first_seen_at,
        max(c.updated_at) as updated_at,
        min(c.updated_at) filter (
            where r.email_refused_at is null or c.updated_at > r.email_refused_at
        ) as email_consent_since,
        min(c.updated_at) filter (
            where r.sms_refused_at is null or c.updated_at > r.sms_refused_at
        ) as sms_consent_since,
        min(c.updated_at) filter (
            where r.post_refused_at is null or c.updated_at > r.post_refused_at
        ) as post_consent_since
    from sources.contacts as c
    inner join refusals as r
        on r.contact_id = c.contact_id
    group by c.contact_id
)

select
    c.contact_id,
    l.first_seen_at,
    c.updated_at,
    c.birth_date,
    c.gender,
    c.income_band,
    c.education,
    c.job_title,
    c.household_size,
    c.city,
    c.region,
    c.country,
    c.loyalty_card is not null as has_loyalty_card,
    coalesce(c.email_consent, false) as email_consent,
    coalesce(c.sms_consent, false) as sms_consent,
    coalesce(c.post_consent, false) as post_consent,
    l.email_consent_since,
    l.sms_consent_since,
    l.post_consent_since
from sources.contacts as c
inner join latest as l
    on l.contact_id = c.contact_id
    and l.updated_at = c.updated_at
