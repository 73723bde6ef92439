-- Why: answers arrive as text for every question; a number out of its scale is no answer.
-- A row: one valid answer of one respondent to one question at one time.
select
    'email' as identifier_type,
    email_address(email) as identifier,
    question,
    answer,
    responded_at
from sources.survey
where email_address(email) is not null
    and case question
        when 'nps' then try_cast(answer as bigint) between 0 and 10
        when 'csat' then try_cast(answer as bigint) between 1 and 5
        else answer is not null
    end
-- Asking twice in one response adds nothing.
group by
    email_address(email),
    question,
    answer,
    responded_at
