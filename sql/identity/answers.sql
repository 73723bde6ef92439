-- Why: an answer is that of the person who owned the address then.
-- A row: one valid answer of one customer to one question at one time, from one address.
-- An address that is blocked or shared leads to nobody, whoever owned it.
select
    case
        when answers.former_owner is null then today.customer_id
        else former.customer_id
    end as customer_id,
    answers.identifier,
    answers.question,
    answers.answer,
    answers.responded_at
from staging.survey_answers as answers
inner join identity.customers as today
    on today.identifier_type = answers.identifier_type
    and today.identifier = answers.identifier
left join identity.customers as former
    on former.identifier_type = 'customer'
    and former.identifier = answers.former_owner
where answers.former_owner is null
    or former.customer_id is not null
