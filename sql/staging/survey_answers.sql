-- Why: answers arrive as text for every question; a number out of its scale is no answer.
-- A row: one valid answer from one address to one question at one time, and the former owner who had the address then
-- (null: today's owner). An answer that stands twice in one response is one.
with answers as (
    select
        email_address(email) as identifier,
        question,
        answer,
        responded_at
    from sources.survey
    where case question
        when 'nps' then try_cast(answer as bigint) between 0 and 10
        when 'csat' then try_cast(answer as bigint) between 1 and 5
        else answer is not null
    end
)

select
    'email' as identifier_type,
    answers.identifier,
    former.contact_id as former_owner,
    answers.question,
    answers.answer,
    answers.responded_at
from answers
left join staging.former_owners as former
    on former.identifier_type = 'email'
    and former.identifier = answers.identifier
    and (former.owned_from is null or answers.responded_at >= former.owned_from)
    and answers.responded_at < former.owned_until
where answers.identifier is not null
group by
    answers.identifier,
    former.contact_id,
    answers.question,
    answers.answer,
    answers.responded_at
