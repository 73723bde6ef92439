-- A row: one customer who was sent an e-mail in the window.
select
    people.customer_id,
    count(distinct emails.message_id) as emails,
    count(distinct emails.message_id) filter (where emails.event = 'click') as clicked_emails,
    sum(cast(round(1000000 * power(0.5, ($as_of - cast(emails.occurred_at as date)) / cast($half_life_days as double))) as bigint))
        filter (where emails.event = 'click') as email_points,
    bool_or(emails.event in ('unsubscribe', 'complaint')) as has_opted_out
from staging.emails as emails
inner join resolved.customers as people
    on people.identifier_type = 'email'
    and people.identifier = emails.email
where cast(emails.occurred_at as date) >= $as_of - $window_days
group by people.customer_id
