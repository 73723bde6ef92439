-- Why: what customers say of themselves; the latest answer per question counts.
-- A row: one customer who has answered at least one question. A question not answered is unknown, not zero.
with latest as (
    select
        customer_id,
        question,
        min(responded_at) as first_responded_at,
        max(responded_at) as responded_at
    from identity.answers
    group by
        customer_id,
        question
)

select
    a.customer_id,
    max(try_cast(a.answer as bigint)) filter (where a.question = 'nps') as nps,
    max(try_cast(a.answer as bigint)) filter (where a.question = 'csat') as csat,
    max(a.answer) filter (where a.question = 'top_need') as top_need,
    max(a.answer) filter (where a.question = 'lifestyle') as lifestyle,
    -- The one question with several answers.
    cast(
        string_agg(distinct a.answer, ',' order by a.answer) filter (where a.question = 'interest') as varchar
    ) as interests,
    cast(min(l.first_responded_at) as date) as first_response_date
from identity.answers as a
inner join latest as l
    on l.customer_id = a.customer_id
    and l.question = a.question
    and l.responded_at = a.responded_at
group by a.customer_id
