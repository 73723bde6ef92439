-- Why: how a customer takes e-mail and SMS: what was sent and what was answered. Refusals are in features.refusals.
-- A row: one customer to whom at least one message went, over all the addresses of that customer.
-- Opens are left out: a machine's cannot be told from a person's, so only a click is a response.
select
    i.customer_id,
    coalesce(sum(m.sends) filter (where m.channel = 'email'), 0) as email_sends,
    coalesce(sum(m.clicks) filter (where m.channel = 'email'), 0) as email_clicks,
    coalesce(sum(m.sends) filter (where m.channel = 'sms'), 0) as sms_sends,
    coalesce(sum(m.clicks) filter (where m.channel = 'sms'), 0) as sms_clicks,
    cast(min(m.first_message_at) as date) as first_message_date
from staging.message_addresses as m
inner join identity.customers as i
    on i.identifier_type = m.identifier_type
    and i.identifier = m.identifier
group by i.customer_id
