-- Why: the rows as the contract reads them.
-- The same events in Parquet.
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
from sources.ga4_parquet
