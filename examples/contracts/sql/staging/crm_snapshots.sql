-- Why: the rows as the contract reads them.
-- The whole table of contacts, sent each night.
-- A row: a contact of the newest snapshot.
select
    contact_id,
    email,
    email_consent,
    since,
    day
from sources.crm_snapshots
