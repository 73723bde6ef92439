-- Why: the channel through which to speak to a customer, of those they allow.
-- A row: one customer with a contact.
-- A channel's response rate is (responses + a) / (sends + a + b): the mean of a beta-binomial model with the prior
-- Beta(a, b) (Gelman et al., Bayesian Data Analysis, 3rd edition, section 2.4), also known as additive smoothing. a is
-- $channel_prior_responses, b is $channel_prior_silences. So one click on two messages does not beat ten on fifty.
-- Fewer than $channel_min_sends messages give no rate at all, and a channel with a rate goes before one without.
-- Rates are whole millionths, and equal rates prefer e-mail. Post has no rate: without any, the first channel allowed
-- is taken, in the order e-mail, SMS, post.
with responses as (
    select
        permissions.customer_id,
        permissions.can_email,
        permissions.can_sms,
        permissions.can_post,
        coalesce(messages.email_sends, 0) as email_sends,
        coalesce(messages.sms_sends, 0) as sms_sends,
        -- A click on a message whose sending is in no extract is no response to a counted one.
        least(coalesce(messages.email_clicks, 0), coalesce(messages.email_sends, 0)) as email_responses,
        least(coalesce(messages.sms_clicks, 0), coalesce(messages.sms_sends, 0)) as sms_responses
    from scores.permissions as permissions
    left join features.messages as messages
        on messages.customer_id = permissions.customer_id
),

rates as (
    select
        customer_id,
        can_email,
        can_sms,
        can_post,
        case
            when can_email and email_sends >= $channel_min_sends then
                1000000 * (email_responses + $channel_prior_responses)
                / (email_sends + $channel_prior_responses + $channel_prior_silences)
        end as email_rate,
        case
            when can_sms and sms_sends >= $channel_min_sends then
                1000000 * (sms_responses + $channel_prior_responses)
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
