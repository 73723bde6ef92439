-- Why: the rows as the contract reads them.
-- A sheet saved as CSV: a title above the header, days as serial numbers, amounts with currency.
-- A row: a client.
select
    client,
    first_visit,
    last_visit,
    spent,
    discount
from sources.spreadsheet
