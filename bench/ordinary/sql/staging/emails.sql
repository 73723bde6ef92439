-- A row: one thing that happened to one e-mail.
select
    event_id,
    occurred_at,
    message_id,
    lower(trim(email)) as email,
    event
from sources.email
where channel = 'email'
    and email is not null
