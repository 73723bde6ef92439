-- Why: malformed and junk addresses (test@test.com, noreply@...) would glue strangers together.
-- A row: one e-mail address that can stand for one person, from wherever it is known.
with emails as (
    select identifier as email
    from staging.contact_identifiers
    where identifier_type = 'email'
    union
    select identifier as email
    from staging.message_addresses
    where identifier_type = 'email'
    union
    select identifier as email
    from staging.survey_answers
    where identifier_type = 'email'
)
select e.email
from emails as e
where regexp_like(e.email, '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$')
    and not exists (
        select 1
        from reference.junk_emails as j
        where e.email like j.pattern
    )
