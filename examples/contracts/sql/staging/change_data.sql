-- Why: the rows as the contract reads them.
-- Changes of a database table: inserts, updates and deletes in the order of its log.
-- A row: a contact as the database had it at the end of the day before.
select
    contact_id,
    changed_at,
    email,
    email_consent
from sources.change_data
