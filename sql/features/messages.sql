-- Why: how a customer takes e-mail and SMS: what was sent and what was answered. Refusals are in features.opt_outs.
-- A row: one customer to whom at least one message went, over all the addresses that were the customer's at the time.
-- Opens are left out of the counts: a machine's cannot be told from a person's, so only a click is a response.
-- An address that stands for nobody, or for too many, leads to none, whoever had it.
with messages as (
    select
        case when m.former_owner is null then i.customer_id else h.customer_id end as customer_id,
        m.channel,
        m.sends,
        m.clicks,
        m.first_message_at,
        m.points
    from staging.message_addresses as m
    inner join identity.customers as i
        on i.identifier_type = m.identifier_type
        and i.identifier = m.identifier
    left join identity.customers as h
        on h.identifier_type = 'customer'
        and h.identifier = m.former_owner
)

select
    customer_id,
    coalesce(sum(sends) filter (where channel = 'email'), 0) as email_sends,
    coalesce(sum(clicks) filter (where channel = 'email'), 0) as email_clicks,
    coalesce(sum(sends) filter (where channel = 'sms'), 0) as sms_sends,
    coalesce(sum(clicks) filter (where channel = 'sms'), 0) as sms_clicks,
    cast(min(first_message_at) as date) as first_message_date,
    sum(points) as points
from messages
where customer_id is not null
group by customer_id
