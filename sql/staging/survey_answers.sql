-- Why: answers arrive as text for every question; a number out of its scale is no answer.
-- A row: one valid answer from one address to one question at one time, and the former holder who had the address then
-- (null: whoever has it today).
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
    a.identifier,
    h.contact_id as former_owner,
    a.question,
    a.answer,
    a.responded_at
from staging.former_owners as h
right join answers as a
    on h.identifier_type = 'email'
    and h.identifier = a.identifier
    and (h.owned_from is null or a.responded_at >= h.owned_from)
    and a.responded_at < h.owned_until
where a.identifier is not null
-- Asking twice in one response adds nothing.
group by
    a.identifier,
    h.contact_id,
    a.question,
    a.answer,
    a.responded_at
