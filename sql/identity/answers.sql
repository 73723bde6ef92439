-- Why: an answer is that of whoever had the address then.
-- A row: one valid answer of one customer to one question at one time, from one address.
-- An address that stands for nobody, or for too many, leads to none, whoever had it.
select
    case when s.former_owner is null then i.customer_id else h.customer_id end as customer_id,
    s.identifier,
    s.question,
    s.answer,
    s.responded_at
from staging.survey_answers as s
inner join identity.customers as i
    on i.identifier_type = s.identifier_type
    and i.identifier = s.identifier
left join identity.customers as h
    on h.identifier_type = 'customer'
    and h.identifier = s.former_owner
where s.former_owner is null
    or h.customer_id is not null
