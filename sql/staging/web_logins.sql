-- Why: a login is what links an anonymous visitor to a person.
-- A row: one pair of a visitor and a user that logged in there, and when first and last.
select
    visitor_id,
    user_id,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at
from staging.web_devices
where visitor_id is not null
    and user_id is not null
group by
    visitor_id,
    user_id
