-- Why: the rows as the contract reads them.
-- A survey with two header lines; the second one names the choices of a question.
-- A row: a response.
select
    response_id,
    answered_at,
    email,
    nps,
    shops_online,
    shops_in_store,
    comment
from sources.survey
