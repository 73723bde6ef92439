-- Why: how a customer takes e-mail and SMS: what was sent, what was answered, what was refused.
-- A row: one customer to whom at least one message went, over all the addresses of that customer.
-- Opens are left out: a machine's cannot be told from a person's, so only a click is a response.
select
    i.customer_id,
    coalesce(sum(m.sends) filter (where m.channel = 'email'), 0) as email_sends,
    coalesce(sum(m.clicks) filter (where m.channel = 'email'), 0) as email_clicks,
    coalesce(sum(m.complaints) filter (where m.channel = 'email'), 0) as email_complaints,
    max(m.last_unsubscribed_at) filter (where m.channel = 'email') as email_unsubscribed_at,
    coalesce(sum(m.sends) filter (where m.channel = 'sms'), 0) as sms_sends,
    coalesce(sum(m.clicks) filter (where m.channel = 'sms'), 0) as sms_clicks,
    coalesce(sum(m.complaints) filter (where m.channel = 'sms'), 0) as sms_complaints,
    max(m.last_unsubscribed_at) filter (where m.channel = 'sms') as sms_unsubscribed_at,
    min(m.first_message_date) as first_message_date
from staging.message_addresses as m
inner join identity.customers as i
    on i.identifier_type = m.identifier_type
    and i.identifier = m.identifier
group by i.customer_id
