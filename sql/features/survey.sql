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
    answers.customer_id,
    max(try_cast(answers.answer as bigint)) filter (where answers.question = 'nps') as nps,
    max(try_cast(answers.answer as bigint)) filter (where answers.question = 'csat') as csat,
    max(answers.answer) filter (where answers.question = 'top_need') as top_need,
    max(answers.answer) filter (where answers.question = 'lifestyle') as lifestyle,
    -- The one question with several answers.
    cast(
        string_agg(distinct answers.answer, ',' order by answers.answer)
            filter (where answers.question = 'interest') as varchar
    ) as interests,
    cast(min(latest.first_responded_at) as date) as first_response_date
from identity.answers as answers
inner join latest
    on latest.customer_id = answers.customer_id
    and latest.question = answers.question
    and latest.responded_at = answers.responded_at
group by answers.customer_id
