"""The computation of the shipped pipeline as one would write it for DuckDB.

usage: python -m duckdb_job PIPELINE EXTRACTS AS_OF OUT_DIR, in the folder bench
"""

import sys
from pathlib import Path
from string import Template

import duckdb

from benchmarks import SHIPPED
from duckdb_common import assign, contract, text, write
from project import Project, load

TYPES = {"string": "varchar", "integer": "bigint", "timestamp": "timestamptz", "date": "date", "boolean": "boolean"}

MACROS = """
-- A timestamptz is cast to a date through the time zone database, which is slow; these are all in UTC.
create macro utc_day(moment) as make_timestamp(epoch_us(moment))::date;
create macro yyyymmdd(day) as year(day) * 10000 + month(day) * 100 + day(day);
-- Exact, half up. DuckDB divides decimals as doubles.
create macro quotient(n, d) as (2 * n::hugeint + d) // (2 * d);
"""

# Everything that is read more than once is a table; tables are no larger than one row an identifier
# and device. Events stay in their files and are read twice at most.
MODELS = """
create temp table engagement_points as
select
    channel,
    event_type,
    as_of_day::date as event_date,
    round(1000000 * weight::double * pow(2::double, -($as_of - event_date)::double / half_life_days))::bigint as points
from engagement_weights, generate_series($as_of - $engagement_window_days, $as_of - 1, interval 1 day) as days (as_of_day)
where weight <> 0;

-- Orders ---------------------------------------------------------------------------------------

create temp table orders as
select
    customer_id::varchar as number,
    min(ordered_at)::timestamptz as ordered_at,
    min(ordered_at)::date as order_date,
    max(nullif(country, 'Unspecified')) as country,
    bool_or(is_sale) as is_sale,
    coalesce(sum(amount) filter (is_sale), 0)::decimal(18, 3) as gross,
    coalesce(-sum(amount) filter (not is_sale), 0)::decimal(18, 3) as refunded
from (
    select
        *,
        quantity * unit_price as amount,
        quantity > 0 and unit_price > 0 and order_id not like 'C%' as is_sale
    from order_lines
    where customer_id is not null
) as lines
group by lines.customer_id, order_id;

-- Contacts -------------------------------------------------------------------------------------

create temp table versions_in_force as
with opt_outs as (
    select
        contact_id,
        max(updated_at) filter (email_consent is not true) as email_refused_at,
        max(updated_at) filter (sms_consent is not true) as sms_refused_at
    from contact_versions
    group by contact_id
),
latest as (
    select
        contact_id,
        min(updated_at) as first_seen_at,
        max(updated_at) as updated_at,
        min(updated_at) filter (email_refused_at is null or updated_at > email_refused_at) as email_consent_since,
        min(updated_at) filter (sms_refused_at is null or updated_at > sms_refused_at) as sms_consent_since
    from contact_versions
    join opt_outs using (contact_id)
    group by contact_id
)
select
    contact_id as number,
    first_seen_at,
    updated_at,
    utc_day(first_seen_at) as first_contact_date,
    case
        when birth_date between $as_of - 120 * 365 and $as_of then (yyyymmdd($as_of) - yyyymmdd(birth_date)) // 10000
    end as age,
    gender, income_band, education, job_title, household_size, city, region, country,
    loyalty_card is not null as has_loyalty_card,
    coalesce(email_consent, false) as email_consent,
    coalesce(sms_consent, false) as sms_consent,
    coalesce(post_consent, false) as post_consent,
    email_consent_since,
    sms_consent_since
from contact_versions
join latest using (contact_id, updated_at);

-- Who gave an address, since when, and when a later version left it out.
create temp table addresses as
with versions as (
    select
        contact_id as number,
        updated_at,
        lead(updated_at) over (partition by contact_id order by updated_at) as replaced_at,
        lower(trim(email)) as email,
        regexp_replace(replace(phone, '(0)', ''), '[^0-9+]', '', 'g') as digits
    from contact_versions
),
given as (
    select number, updated_at, replaced_at, 'email' as channel, email as address
    from versions
    where regexp_matches(email, '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$$')
    union all
    select
        number, updated_at, replaced_at, 'sms',
        case
            when starts_with(digits, '+') then digits
            when starts_with(digits, '00') then '+' || digits[3:]
            when starts_with(digits, '0') then '+$calling_code' || digits[2:]
            else '+' || digits
        end as phone
    from versions
    where regexp_full_match(phone, '[+][1-9][0-9]{7,14}')
)
select
    number, channel, address,
    min(updated_at) as first_seen_at,
    case when count(*) = count(replaced_at) then max(replaced_at) end as given_up_at
from given
group by all;

-- Who had an address when.
create temp table ownership as
select
    number, channel, address,
    nullif(first_seen_at, min(first_seen_at) over (partition by channel, address)) as owned_from,
    case when given_up_at is not null then (
        select min(greatest(a.given_up_at, n.first_seen_at))
        from addresses as n
        where n.channel = a.channel and n.address = a.address and n.number <> a.number
            and (n.given_up_at is null or n.given_up_at > a.given_up_at)
    ) end as owned_until
from addresses as a;

-- Who had an address before those who have it today.
create temp table former_owners as
with former as (
    select
        f.number, f.channel, f.address, f.owned_until,
        case when count(*) = count(t.owned_from) then min(t.owned_from) end as taken_at
    from ownership as f
    join ownership as t using (channel, address)
    where f.owned_until is not null and t.owned_until is null
    group by all
),
turns as (
    select
        number, channel, address,
        lag(owned_until) over (partition by channel, address order by owned_until, number) as owned_from,
        least(owned_until, taken_at) as owned_until
    from former
    where taken_at is not null
)
from turns
where owned_from is null or owned_from < owned_until;

-- Events ---------------------------------------------------------------------------------------

create temp table visits as
select
    visitor_id,
    user_id,
    coalesce(platform, '') as platform,
    coalesce(device, '') as device,
    coalesce(os, '') as os,
    coalesce(browser, '') as browser,
    count(*) as events,
    count(*) filter (event_type = 'product_view') as product_views,
    count(*) filter (event_type = 'add_to_cart') as add_to_carts,
    min(event_date) as first_visit_date,
    max(event_date) as last_visit_date,
    max(event_date) filter (event_type = 'add_to_cart') as last_cart_date,
    min(occurred_at) as first_seen_at,
    sum(points)::bigint as points
from (select *, utc_day(occurred_at) as event_date from web)
left join (from engagement_points where channel = 'web') using (event_type, event_date)
group by all;

create temp table category_views as
select visitor_id, user_id, category, count(*) as views
from web
where category is not null
group by all;

create temp table messages as
select
    e.channel,
    e.address,
    h.number as former_owner,
    count(*) filter (e.event_type = 'sent') as sends,
    count(distinct coalesce(e.message_id, '')) filter (e.event_type = 'click') as clicks,
    min(e.occurred_at) as first_message_at,
    sum(p.points)::bigint as points
from (
    select
        channel, message_id, event as event_type, occurred_at, utc_day(occurred_at) as event_date,
        case channel when 'sms' then trim(phone) else lower(trim(email)) end as address
    from email
) as e
left join engagement_points as p using (channel, event_type, event_date)
left join former_owners as h
    on h.channel = e.channel and h.address = e.address
    and (h.owned_from is null or e.occurred_at >= h.owned_from) and e.occurred_at < h.owned_until
where e.address is not null
group by all;

create temp table opt_outs as
select channel, case channel when 'sms' then trim(phone) else lower(trim(email)) end as address, event as kind, occurred_at
from email
where event in ('unsubscribe', 'complaint') or event = 'bounce' and bounce_type = 'hard';

create temp table answers as
select distinct a.address, h.number as former_owner, a.question, a.answer, a.responded_at
from (select *, lower(trim(email)) as address from survey) as a
left join former_owners as h
    on h.channel = 'email' and h.address = a.address
    and (h.owned_from is null or a.responded_at >= h.owned_from) and a.responded_at < h.owned_until
where a.email is not null
    and case a.question
        when 'nps' then try_cast(a.answer as bigint) between 0 and 10
        when 'csat' then try_cast(a.answer as bigint) between 1 and 5
        else true
    end;

-- Identity -------------------------------------------------------------------------------------

-- Edges between addresses and contacts that hold: no junk, and not given up before the next owner had it.
create temp table edges as
with usable as (
    from addresses
    where not (channel = 'email' and exists (from junk_emails where address like pattern))
),
kept as (
    from usable as u
    where given_up_at is null or not exists (
        from usable as n
        where n.channel = u.channel and n.address = u.address and n.number <> u.number and n.first_seen_at >= u.given_up_at
    )
)
-- An address that three contacts have is nobody's.
select *, count(*) over (partition by channel, address) <= 2 as holds
from kept;

-- A contact and the contact it is one person with: generated contacts have at most one such.
create temp table twins as
select distinct one.number, other.number as twin
from edges as one
join edges as other using (channel, address)
where one.holds and one.number <> other.number;

-- Everybody's number: that of the person's oldest identifier, if it is a number or an e-mail address.
create temp table numbers as
with seen as (
    select number, ordered_at as first_seen_at from orders
    union all
    select number, first_seen_at from versions_in_force
    union all
    select user_id, first_seen_at from visits where user_id is not null
),
seen_addresses as (
    select address, first_seen_at from addresses where channel = 'email'
    union all
    select address, first_message_at from messages where channel = 'email'
    union all
    select address, responded_at from answers
),
first_addresses as (
    select address, min(first_seen_at) as first_seen_at
    from seen_addresses
    group by address
),
-- What was seen of an address before it went to the next owner was another's.
transferred as (
    select address, min(t.first_seen_at) as first_seen_at
    from edges as t
    join (select channel, address, count(*) as owners from addresses group by all) using (channel, address)
    where channel = 'email'
    group by all
    having count(*) < max(owners)
),
identifiers as (
    select number, min(first_seen_at) as first_seen_at, 0 as rank, number as name, number as id
    from seen
    group by number
    union all
    select
        t.number, coalesce(p.first_seen_at, f.first_seen_at) as first_seen_at, 1 as rank, address as name,
        'email:' || sha256(address)[:20] as id
    from edges as t
    join first_addresses as f using (address)
    left join transferred as p using (address)
    where t.channel = 'email' and t.holds
),
of_both as (
    from identifiers
    union all
    select w.twin as number, i.first_seen_at, i.rank, i.name, i.id
    from identifiers as i
    join twins as w using (number)
)
select number, arg_min(id, (first_seen_at, rank, name)) as customer_id
from of_both
group by number;

create temp table contacts as
with theirs as (
    select n.customer_id, v.*
    from versions_in_force as v
    join numbers as n using (number)
)
select
    * exclude (number, first_contact_date)
    replace (
        bool_or(has_loyalty_card) over person as has_loyalty_card,
        bool_and(email_consent) over person as email_consent,
        bool_and(sms_consent) over person as sms_consent,
        bool_and(post_consent) over person as post_consent,
        max(email_consent_since) over person as email_consent_since,
        max(sms_consent_since) over person as sms_consent_since
    ),
    utc_day(min(first_seen_at) over person) as first_contact_date
from theirs
window person as (partition by customer_id)
qualify row_number() over (partition by customer_id order by updated_at desc, number desc) = 1;

create temp table recipients as
select distinct channel, address, n.customer_id
from edges
join numbers as n using (number)
where holds
union all
select 'email', address, 'email:' || sha256(address)[:20]
from (select address from messages where channel = 'email' union select address from answers)
anti join (from addresses where channel = 'email') using (address)
where regexp_matches(address, '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$$')
    and not exists (from junk_emails where address like pattern);

create temp table emails as
select address, customer_id from recipients where channel = 'email';

create temp table visitors as
select visitor_id, min(customer_id) as owner
from visits
join numbers on number = user_id
group by visitor_id
having min(customer_id) = max(customer_id);

-- Whose an opt-out is: that of who owned the address then.
create temp table contact_opt_outs as
select number, channel, address, kind, occurred_at
from opt_outs
join ownership using (channel, address)
where (owned_from is null or occurred_at >= owned_from) and (owned_until is null or occurred_at < owned_until);

create temp table customer_opt_outs as
with suppressed as (
    select n.customer_id, s.channel
    from suppressions as s
    join numbers as n on n.number = s.contact_id
    union all
    select n.customer_id, s.channel
    from suppressions as s
    join addresses as a on a.channel = 'email' and a.address = lower(trim(s.email))
    join numbers as n using (number)
    union all
    select r.customer_id, s.channel
    from suppressions as s
    join recipients as r on r.channel = 'email' and r.address = lower(trim(s.email))
    union all
    select n.customer_id, s.channel
    from suppressions as s
    join addresses as a on a.channel = 'sms' and a.address = regexp_replace(s.phone, '[^0-9+]', '', 'g')
    join numbers as n using (number)
),
theirs as (
    select customer_id, channel, kind, occurred_at
    from contact_opt_outs
    join numbers using (number)
    union all
    select customer_id, channel, kind, occurred_at
    from opt_outs
    join recipients using (channel, address)
    anti join addresses using (channel, address)
    union all
    select s.customer_id, c.channel, 'suppression', null
    from suppressed as s
    join (values ('email'), ('sms'), ('post')) as c (channel) on coalesce(s.channel, c.channel) = c.channel
)
select
    customer_id, channel,
    bool_or(kind = 'suppression') as is_suppressed,
    bool_or(kind = 'complaint') as has_complained,
    max(occurred_at) filter (kind = 'unsubscribe') as unsubscribed_at
from theirs
group by all;

-- A customer's orders --------------------------------------------------------------------------

create temp table buyers as
select
    customer_id,
    count(*) filter (is_sale) as lifetime_orders,
    min(order_date) filter (is_sale) as first_order_date,
    max(order_date) filter (is_sale) as last_order_date,
    arg_max(country, (order_date, country)) filter (is_sale and country is not null) as country,
    sum(gross)::decimal(18, 3) as gross_lifetime,
    sum(refunded)::decimal(18, 3) as refunded,
    $as_of - max(order_date) filter (in_window) as recency_days,
    count(*) filter (in_window) as frequency,
    coalesce(sum(gross) filter (in_window), 0)::decimal(18, 3) as monetary,
    sum(points) filter (is_sale)::bigint as points
from (select *, is_sale and order_date >= $as_of - $rfm_window_days as in_window from orders join numbers using (number))
left join engagement_points on channel = 'order' and event_date = order_date
group by customer_id;

create temp table products as
select n.customer_id, count(distinct product_code) as products
from order_lines as o
join numbers as n on n.number = o.customer_id::varchar
anti join service_codes using (product_code)
where quantity > 0 and unit_price > 0 and order_id not like 'C%'
group by n.customer_id;

create temp table order_scores as
with cuts as (
    select
        quantile_cont(recency_days::double, [0.2, 0.4, 0.6, 0.8]) as recency,
        quantile_cont(frequency::double, [0.2, 0.4, 0.6, 0.8]) as frequency,
        quantile_cont(monetary::double, [0.2, 0.4, 0.6, 0.8]) as monetary
    from buyers
    where buyers.frequency > 0
),
returns as (
    select customer_id, max(order_date) as last_return_date
    from (
        select
            customer_id,
            order_date,
            order_date - lag(order_date) over (partition by customer_id order by order_date) as silent_days
        from (select distinct customer_id, order_date from orders join numbers using (number) where is_sale)
    )
    where silent_days > $lapsed_after_days
    group by customer_id
)
select
    customer_id,
    case when b.frequency > 0 then 5 - len(list_filter(c.recency, lambda cut: b.recency_days > cut)) else 0 end as r_score,
    case when b.frequency > 0 then 1 + len(list_filter(c.frequency, lambda cut: b.frequency > cut)) else 0 end as f_score,
    case when b.frequency > 0 then 1 + len(list_filter(c.monetary, lambda cut: b.monetary::double > cut)) else 0 end as m_score,
    case
        when lifetime_orders = 0 then 'prospect'
        when $as_of - last_order_date > $lapsed_after_days then 'lapsed'
        when $as_of - last_order_date > $lapsing_after_days then 'lapsing'
        when last_return_date >= $as_of - $lapsing_after_days then 'won_back'
        when first_order_date >= $as_of - $new_for_days then 'new'
        else 'active'
    end as lifecycle_stage
from buyers as b
cross join cuts as c
left join returns using (customer_id);

-- A customer's events --------------------------------------------------------------------------

create temp table customer_web as
with devices as (
    select
        coalesce(n.customer_id, owner) as customer_id, platform, device, os, browser,
        sum(events)::bigint as events,
        sum(product_views)::bigint as product_views,
        sum(add_to_carts)::bigint as add_to_carts,
        min(first_visit_date) as first_visit_date,
        max(last_visit_date) as last_visit_date,
        max(last_cart_date) as last_cart_date,
        sum(points)::bigint as points
    from visits
    left join visitors using (visitor_id)
    left join numbers as n on n.number = user_id
    where coalesce(n.customer_id, owner) is not null
    group by all
)
select
    customer_id,
    max({
        events: events, last_visit_date: last_visit_date,
        platform: platform, device: device, os: os, browser: browser
    }) as primary_device,
    count(*) as devices,
    sum(events)::bigint as web_events,
    sum(product_views)::bigint as product_views,
    sum(add_to_carts)::bigint as add_to_carts,
    min(first_visit_date) as first_visit_date,
    $as_of - max(last_visit_date) as days_since_last_visit,
    $as_of - max(last_cart_date) as days_since_last_cart,
    sum(points)::bigint as points
from devices
group by customer_id;

create temp table customer_categories as
select customer_id, arg_max(category, (views, category)) as top_category, count(*) as categories
from (
    select coalesce(n.customer_id, owner) as customer_id, category, sum(views) as views
    from category_views
    left join visitors using (visitor_id)
    left join numbers as n on n.number = user_id
    where coalesce(n.customer_id, owner) is not null
    group by all
)
group by customer_id;

create temp table customer_messages as
select
    customer_id,
    coalesce(sum(sends) filter (channel = 'email'), 0)::bigint as email_sends,
    coalesce(sum(clicks) filter (channel = 'email'), 0)::bigint as email_clicks,
    coalesce(sum(sends) filter (channel = 'sms'), 0)::bigint as sms_sends,
    coalesce(sum(clicks) filter (channel = 'sms'), 0)::bigint as sms_clicks,
    utc_day(min(first_message_at)) as first_message_date,
    sum(points)::bigint as points
from (
    select m.*, case when m.former_owner is null then r.customer_id else n.customer_id end as customer_id
    from messages as m
    join recipients as r using (channel, address)
    left join numbers as n on n.number = m.former_owner
)
group by customer_id;

create temp table answers_of_customers as
select
    case when a.former_owner is null then e.customer_id else n.customer_id end as customer_id,
    a.address, a.question, a.answer, a.responded_at
from answers as a
join emails as e using (address)
left join numbers as n on n.number = a.former_owner;

create temp table customer_answers as
with theirs as (
    select *, rank() over (partition by customer_id, question order by responded_at desc) as age
    from answers_of_customers
)
select
    customer_id,
    max(try_cast(answer as bigint)) filter (question = 'nps' and age = 1) as nps,
    max(try_cast(answer as bigint)) filter (question = 'csat' and age = 1) as csat,
    max(answer) filter (question = 'top_need' and age = 1) as top_need,
    max(answer) filter (question = 'lifestyle' and age = 1) as lifestyle,
    string_agg(distinct answer, ',' order by answer) filter (question = 'interest' and age = 1) as interests,
    utc_day(min(responded_at)) as first_response_date
from theirs
group by customer_id;

-- A respondent's response counts once, however many questions it answers.
create temp table customer_responses as
select customer_id, sum(points)::bigint as points
from (select distinct customer_id, address, utc_day(responded_at) as event_date from answers_of_customers)
join engagement_points using (event_date)
where channel = 'survey'
group by customer_id;

create temp table engagement as
select
    customer_id,
    sum(points)::bigint as points,
    coalesce(sum(points) filter (area = 'web'), 0)::bigint as web_points,
    coalesce(sum(points) filter (area = 'message'), 0)::bigint as message_points,
    coalesce(sum(points) filter (area = 'order'), 0)::bigint as order_points,
    coalesce(sum(points) filter (area = 'survey'), 0)::bigint as survey_points
from (
    select customer_id, 'web' as area, points from customer_web
    union all
    select customer_id, 'message', points from customer_messages
    union all
    select customer_id, 'order', points from buyers
    union all
    select customer_id, 'survey', points from customer_responses
)
group by customer_id;

-- Permissions ----------------------------------------------------------------------------------

create temp table permissions as
with reachable as (
    select
        n.customer_id, a.channel,
        bool_or(r.customer_id is not null and b.number is null) as works,
        bool_or(b.number is not null) as has_bounced
    from addresses as a
    join numbers as n using (number)
    left join recipients as r on r.channel = a.channel and r.address = a.address and r.customer_id = n.customer_id
    left join (select distinct number, channel, address from contact_opt_outs where kind = 'bounce') as b
        on b.number = a.number and b.channel = a.channel and b.address = a.address
    where a.given_up_at is null
    group by all
),
reasons as (
    select
        c.customer_id,
        case
            when e.is_suppressed then 'suppressed'
            when e.has_complained then 'complaint'
            when not email_consent then 'no_consent'
            when e.unsubscribed_at is not null and (email_consent_since > e.unsubscribed_at) is not true then 'unsubscribed'
            when ea.works is not true and ea.has_bounced then 'bounced'
            when ea.works is not true then 'no_address'
        end as no_email_reason,
        case
            when s.is_suppressed then 'suppressed'
            when s.has_complained then 'complaint'
            when not sms_consent then 'no_consent'
            when s.unsubscribed_at is not null and (sms_consent_since > s.unsubscribed_at) is not true then 'unsubscribed'
            when sa.works is not true and sa.has_bounced then 'bounced'
            when sa.works is not true then 'no_address'
        end as no_sms_reason,
        case when p.is_suppressed then 'suppressed' when not post_consent then 'no_consent' end as no_post_reason,
        no_email_reason is null as can_email,
        no_sms_reason is null as can_sms,
        no_post_reason is null as can_post
    from contacts as c
    left join customer_opt_outs as e on e.customer_id = c.customer_id and e.channel = 'email'
    left join customer_opt_outs as s on s.customer_id = c.customer_id and s.channel = 'sms'
    left join customer_opt_outs as p on p.customer_id = c.customer_id and p.channel = 'post'
    left join reachable as ea on ea.customer_id = c.customer_id and ea.channel = 'email'
    left join reachable as sa on sa.customer_id = c.customer_id and sa.channel = 'sms'
),
permissions as (
    select
        *,
        case when can_email and email_sends >= $channel_min_sends then
            1000000 * (least(email_clicks, email_sends) + $channel_prior_responses)
            // (email_sends + $channel_prior_responses + $channel_prior_silences)
        end as email_rate,
        case when can_sms and sms_sends >= $channel_min_sends then
            1000000 * (least(sms_clicks, sms_sends) + $channel_prior_responses)
            // (sms_sends + $channel_prior_responses + $channel_prior_silences)
        end as sms_rate
    from reasons
    left join customer_messages using (customer_id)
)
select
    customer_id, can_email, can_sms, can_post, no_email_reason, no_sms_reason, no_post_reason,
    case
        when sms_rate > coalesce(email_rate, -1) then 'sms'
        when can_email then 'email'
        when can_sms then 'sms'
        when can_post then 'post'
        else 'none'
    end as preferred_channel
from permissions;

-- The profile ----------------------------------------------------------------------------------

create temp table customers as
with everybody as (
    select customer_id from numbers
    union
    select customer_id from emails
)
select
    e.customer_id,
    c.customer_id is not null as is_contact,
    coalesce(b.lifetime_orders > 0, false) as has_orders,
    least(
        c.first_contact_date, b.first_order_date, w.first_visit_date, m.first_message_date, s.first_response_date
    ) as first_seen_date,
    c.age, c.gender, c.income_band, c.education, c.job_title, c.household_size,
    coalesce(c.country, b.country) as country,
    c.region,
    c.city,
    nullif(w.primary_device.platform, '') as primary_platform,
    nullif(w.primary_device.device, '') as primary_device,
    nullif(w.primary_device.os, '') as primary_os,
    nullif(w.primary_device.browser, '') as primary_browser,
    coalesce(w.devices, 0) as devices,
    coalesce(b.lifetime_orders, 0) as lifetime_orders,
    b.first_order_date,
    b.last_order_date,
    $as_of - b.last_order_date as days_since_last_order,
    (
        quotient((b.gross_lifetime * 1000)::bigint, nullif(10 * b.lifetime_orders, 0))::decimal(16, 0) * 0.01
    )::decimal(18, 2) as average_order_value,
    (
        quotient(10 * (b.last_order_date - b.first_order_date), nullif(b.lifetime_orders - 1, 0))::decimal(8, 0) * 0.1
    )::decimal(9, 1) as average_days_between_orders,
    coalesce(p.products, 0) as products,
    coalesce(c.has_loyalty_card, false) as has_loyalty_card,
    b.recency_days,
    coalesce(b.frequency, 0) as frequency,
    coalesce(b.monetary, 0)::decimal(18, 3) as monetary,
    coalesce(o.r_score, 0)::bigint as r_score,
    coalesce(o.f_score, 0)::bigint as f_score,
    coalesce(o.m_score, 0)::bigint as m_score,
    coalesce(w.web_events, 0) as web_events,
    coalesce(w.product_views, 0) as product_views,
    coalesce(w.add_to_carts, 0) as add_to_carts,
    w.days_since_last_visit,
    w.days_since_last_cart,
    coalesce(k.categories, 0) as categories,
    (coalesce(g.points, 0)::decimal(18, 0) * 0.000001)::decimal(18, 6) as engagement_score,
    (coalesce(g.web_points, 0)::decimal(18, 0) * 0.000001)::decimal(18, 6) as web_engagement,
    (coalesce(g.message_points, 0)::decimal(18, 0) * 0.000001)::decimal(18, 6) as message_engagement,
    (coalesce(g.order_points, 0)::decimal(18, 0) * 0.000001)::decimal(18, 6) as order_engagement,
    (coalesce(g.survey_points, 0)::decimal(18, 0) * 0.000001)::decimal(18, 6) as survey_engagement,
    case
        when g.points >= $high_engagement * 1000000 then 'high'
        when g.points >= $medium_engagement * 1000000 then 'medium'
        when g.points > 0 then 'low'
        else 'none'
    end as engagement_level,
    coalesce(m.email_sends, 0) as email_sends,
    coalesce(m.email_clicks, 0) as email_clicks,
    coalesce(m.sms_sends, 0) as sms_sends,
    coalesce(m.sms_clicks, 0) as sms_clicks,
    s.lifestyle,
    s.interests,
    k.top_category,
    s.top_need,
    coalesce(b.gross_lifetime, 0)::decimal(18, 3) as gross_lifetime,
    coalesce(b.refunded, 0)::decimal(18, 3) as refunded,
    coalesce(b.gross_lifetime - b.refunded, 0)::decimal(18, 3) as net_lifetime,
    coalesce(o.lifecycle_stage, 'prospect') as lifecycle_stage,
    s.nps,
    case when s.nps >= 9 then 'promoter' when s.nps >= 7 then 'passive' when s.nps >= 0 then 'detractor' end as nps_group,
    s.csat,
    coalesce(c.email_consent, false) as email_consent,
    coalesce(c.sms_consent, false) as sms_consent,
    coalesce(c.post_consent, false) as post_consent,
    coalesce(a.can_email, false) as can_email,
    coalesce(a.can_sms, false) as can_sms,
    coalesce(a.can_post, false) as can_post,
    case when a.customer_id is null then 'no_contact' else a.no_email_reason end as no_email_reason,
    case when a.customer_id is null then 'no_contact' else a.no_sms_reason end as no_sms_reason,
    case when a.customer_id is null then 'no_contact' else a.no_post_reason end as no_post_reason,
    coalesce(a.preferred_channel, 'none') as preferred_channel
from everybody as e
left join contacts as c using (customer_id)
left join buyers as b using (customer_id)
left join products as p using (customer_id)
left join customer_web as w using (customer_id)
left join customer_categories as k using (customer_id)
left join customer_messages as m using (customer_id)
left join customer_answers as s using (customer_id)
left join order_scores as o using (customer_id)
left join engagement as g using (customer_id)
left join permissions as a using (customer_id);
"""

SUMMARY = """
create temp table segment_summary as
with members as (
    select
        segment_set,
        segment,
        count(*) as customers,
        sum(monetary) as revenue,
        sum(net_lifetime) as net_lifetime,
        (sum(gross_lifetime) * 1000)::hugeint as gross_thousandths,
        sum(lifetime_orders) as orders,
        count(*) filter (frequency > 0) as buyers,
        sum(r_score) as r_scores,
        sum(f_score) as f_scores,
        sum(m_score) as m_scores,
        (sum(engagement_score) * 1000000)::hugeint as points,
        count(*) filter (can_email) as can_email,
        count(*) filter (can_sms) as can_sms,
        count(*) filter (can_post) as can_post
    from segment_membership
    join customers using (customer_id)
    group by all
)
select
    segment_set, segment, set_kind, priority::bigint as priority, description, action, channel,
    coalesce(m.customers, 0) as customers,
    (
        quotient(1000000 * coalesce(m.customers, 0), nullif((select count(*) from customers), 0))::decimal(9, 0) * 0.000001
    )::decimal(9, 6) as share,
    coalesce(m.revenue, 0)::decimal(18, 3) as revenue,
    coalesce(m.net_lifetime, 0)::decimal(18, 3) as net_lifetime,
    (quotient(gross_thousandths, nullif(10 * orders, 0))::decimal(16, 0) * 0.01)::decimal(18, 2) as average_order_value,
    (quotient(100 * r_scores, nullif(buyers, 0))::decimal(7, 0) * 0.01)::decimal(9, 2) as mean_r_score,
    (quotient(100 * f_scores, nullif(buyers, 0))::decimal(7, 0) * 0.01)::decimal(9, 2) as mean_f_score,
    (quotient(100 * m_scores, nullif(buyers, 0))::decimal(7, 0) * 0.01)::decimal(9, 2) as mean_m_score,
    (quotient(points, 10000 * m.customers)::decimal(16, 0) * 0.01)::decimal(18, 2) as mean_engagement,
    coalesce(m.can_email, 0) as can_email,
    coalesce(m.can_sms, 0) as can_sms,
    coalesce(m.can_post, 0) as can_post
from segments
left join members as m using (segment_set, segment);
"""


def read_sources(db: duckdb.DuckDBPyConnection, project: Project, extracts: Path) -> None:
    """Declares Parquet extracts as views, so that a query reads the columns that it needs, and reads the text extracts."""
    as_of = f"timestamptz '{project.as_of} 00:00:00+00'"

    def typed(source: str) -> str:
        # A value that cannot be read costs the row only where the contract requires it: the others are read as text first.
        def kind(name: str, column: dict) -> str:
            return TYPES[column["type"]] if name in project.required(source) or column["type"] == "boolean" else "varchar"

        names = {name: kind(name, column) for name, column in project.columns[source].items()}
        return "{" + ", ".join(f"{name}: '{kind}'" for name, kind in names.items()) + "}"

    def tried(source: str) -> str:
        columns = project.columns[source].items()
        texts = {name: TYPES[c["type"]] for name, c in columns if c["type"] in ("integer", "date") and name not in project.required(source)}
        return "*" + (f" replace ({', '.join(f'try_cast({n} as {t}) as {n}' for n, t in texts.items())})" if texts else "")

    def path(pattern: str) -> str:
        return text(extracts / pattern)

    def read_csv(source: str, pattern: str) -> str:
        return (
            f"read_csv({path(pattern)}, header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"',"
            f" columns = {typed(source)}, ignore_errors = true)"
        )

    db.execute(
        f"""
        create temp view order_lines as
        select
            InvoiceNo as order_id, StockCode as product_code, Quantity::int as quantity, InvoiceDate as ordered_at,
            UnitPrice::decimal(18, 3) as unit_price, CustomerID as customer_id, Country as country
        from read_parquet({path("orders/*.parquet")})
        where ordered_at < timestamp '{project.as_of}' and {contract(project, "orders")}
        """
    )
    db.execute(
        f"""
        create temp view web as
        from read_parquet({path("web/*.parquet")})
        where occurred_at < {as_of} and {contract(project, "web")}
        """
    )
    # A view would not do for text: a column that a query does not read is not parsed, and so not checked.
    # Of versions with one key, equal in all columns here, one is kept.
    db.execute(
        f"""
        create temp table contact_versions as
        select distinct on (contact_id, updated_at) {tried("contacts")}
        from {read_csv("contacts", "crm/*.csv")}
        where updated_at < {as_of} and {contract(project, "contacts")}
        """
    )
    db.execute(
        f"""
        create temp table survey as
        from {read_csv("survey", "survey/*.csv")}
        where responded_at < {as_of} and {contract(project, "survey")}
        """
    )
    suppressions = (
        read_csv("suppressions", "suppression/*.csv")
        if any((extracts / "suppression").glob("*.csv"))
        else "(select " + ", ".join(f"null::{TYPES[c['type']]} as {n}" for n, c in project.columns["suppressions"].items()) + " limit 0)"
    )
    db.execute(f"create temp table suppressions as from {suppressions} where suppressed_at < {as_of} and {contract(project, 'suppressions')}")
    is_json = any((extracts / "email").glob("*.ndjson*"))
    email = (
        f"read_json({path('email/*.ndjson*')}, format = 'newline_delimited', columns = {typed('email')}, ignore_errors = true)"
        if is_json
        else f"read_parquet({path('email/*.parquet')})"
    )
    db.execute(
        f"""
        create temp view email as
        from {email}
        where occurred_at < {as_of} and {contract(project, "email")}
        """
    )


def read_reference(db: duckdb.DuckDBPyConnection, project: Project) -> None:
    """Makes tables of the weights and lists in the pipeline file, and of its segments."""
    db.execute("create temp table engagement_weights (channel text, event_type text, weight decimal(9, 3), half_life_days bigint)")
    db.executemany("insert into engagement_weights values (?, ?, ?, ?)", project.reference["engagement_weights"])
    db.execute("create temp table junk_emails (pattern text)")
    db.executemany("insert into junk_emails values (?)", [[entry.replace("*", "%")] for entry in project.blocked_emails])
    db.execute("create temp table service_codes (product_code text)")
    db.executemany("insert into service_codes values (?)", [row[:1] for row in project.reference["service_codes"]])
    db.execute(
        """create temp table segments (
            segment_set text, segment text, set_kind text, priority int, description text, action text, channel text
        )"""
    )
    db.executemany(
        "insert into segments values (?, ?, ?, ?, ?, ?, ?)",
        [[s.segment_set, s.segment, s.set_kind, s.priority, s.description, s.action, s.channel] for s in project.segments],
    )


def main(pipeline: Path, extracts: Path, as_of: str, out: Path) -> None:
    """Runs the job."""
    project = load(pipeline, as_of, SHIPPED.left_out)
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    db.execute(MACROS)
    read_reference(db, project)
    read_sources(db, project, extracts)
    db.execute(Template(MODELS).substitute(project.parameters, as_of=f"date '{as_of}'", calling_code=project.calling_code))
    assign(db, project)
    db.execute(SUMMARY)
    write(db, SHIPPED.tables, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
