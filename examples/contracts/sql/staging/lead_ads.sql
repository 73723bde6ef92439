-- Why: the rows as the contract reads them.
-- Leads of an advertising platform: UTF-16 with tabs.
-- A row: a lead.
select
    lead_id,
    created_at,
    email,
    phone,
    answer
from sources.lead_ads
