-- Why: a visitor belongs to the one user who logged in there, including its events from before.
-- A row: one visitor and its user. Where several users logged in, the device is shared: what was
-- done there without a login is nobody's.
select
    visitor_id,
    min(user_id) as user_id
from staging.web_logins
group by visitor_id
having count(*) = 1
