-- Why: the rows as the contract reads them.
-- Events of Google Analytics 4 as JSON lines: nested records, and parameters as a list of keys and values.
-- A row: an event.
select
    visitor_id,
    occurred_at,
    event_name,
    user_id,
    device,
    browser,
    page,
    session_id
from sources.ga4_ndjson
