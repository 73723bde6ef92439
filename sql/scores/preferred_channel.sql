-- Why: the channel through which to speak to a customer, of those they allow.
-- A row: one customer with a contact.
-- A channel is rated (responses + a) / (sends + a + b), so that two sends and one click do not beat
-- fifty sends and ten. Rates are whole millionths. Too few sends give no rate, and post has none:
-- without any rate the first channel allowed, in the order e-mail, SMS, post, is taken.
with responses as (
    select
        p.customer_id,
        p.can_email,
        p.can_sms,
        p.can_post,
        coalesce(m.email_sends, 0) as email_sends,
        coalesce(m.sms_sends, 0) as sms_sends,
        -- One message may be clicked twice; it is still one response.
        least(coalesce(m.email_clicks, 0), coalesce(m.email_sends, 0)) as email_responses,
        least(coalesce(m.sms_clicks, 0), coalesce(m.sms_sends, 0)) as sms_responses
    from scores.permissions as p
    left join features.messages as m
        on m.customer_id = p.customer_id
),

rates as (
    select
        customer_id,
        can_email,
        can_sms,
        can_post,
        case
            when can_email and email_sends >= $channel_min_sends
                then 1000000 * (email_responses + $channel_prior_responses)
                    / (email_sends + $channel_prior_responses + $channel_prior_silences)
        end as email_rate,
        case
            when can_sms and sms_sends >= $channel_min_sends
                then 1000000 * (sms_responses + $channel_prior_responses)
                    / (sms_sends + $channel_prior_responses + $channel_prior_silences)
        end as sms_rate
    from responses
)

select
    customer_id,
    case
        when sms_rate > coalesce(email_rate, -1) then 'sms'
        when email_rate is not null then 'email'
        when can_email then 'email'
        when can_sms then 'sms'
        when can_post then 'post'
        else 'none'
    end as preferred_channel
from rates
