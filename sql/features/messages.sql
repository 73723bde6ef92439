-- Why: how a customer takes e-mail and SMS: what was sent and what was answered. Opt-outs are in features.opt_outs.
-- A row: one customer to whom at least one message went, over all the addresses that were the customer's at the time.
-- Opens are left out of the counts: a machine's cannot be told from a person's, so only a click is a response.
-- An address that is blocked or shared leads to nobody, whoever owned it.
with messages as (
    select
        case
            when messages.former_owner is null then today.customer_id
            else former.customer_id
        end as customer_id,
        messages.channel,
        messages.sends,
        messages.clicks,
        messages.first_message_at,
        messages.points
    from staging.message_addresses as messages
    inner join identity.customers as today
        on today.identifier_type = messages.identifier_type
        and today.identifier = messages.identifier
    left join identity.customers as former
        on former.identifier_type = 'customer'
        and former.identifier = messages.former_owner
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
