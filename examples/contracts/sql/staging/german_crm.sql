-- Why: the rows as the contract reads them.
-- A German CRM: semicolons, Windows-1252, days as 24.12.2025, amounts as 1.234,56 €.
-- A row: a contact.
select
    contact_id,
    updated_at,
    city,
    birth_date,
    revenue,
    newsletter
from sources.german_crm
