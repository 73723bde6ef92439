"""The computation of the ordinary project as one would write it for DuckDB.

usage: python -m ordinary.duckdb_job PIPELINE EXTRACTS AS_OF OUT_DIR, in the folder bench
"""

import sys
from pathlib import Path
from string import Template

import duckdb

from benchmarks import ORDINARY
from duckdb_common import assign, contract, text, write
from project import Project, load

MACROS = """
-- A timestamptz is cast to a date through the time zone database, which is slow; these are all in UTC.
create macro utc_day(moment) as make_timestamp(epoch_us(moment))::date;
"""

# Each extract is read once, and what is kept of it is small: a row an order, a contact, a visitor with each login, an address.
MODELS = """
-- What an event of each day of the window is worth today, in millionths.
create temp table decay as
select
    as_of_day::date as event_date,
    round(1000000 * pow(0.5::double, ($as_of - event_date) / $half_life_days::double))::bigint as points
from generate_series($as_of - $window_days, $as_of - 1, interval 1 day) as days (as_of_day);

create temp table orders as
select
    customer_id::varchar as number,
    order_id,
    min(ordered_at) as ordered_at,
    sum(quantity * unit_price) as revenue
from order_lines
where customer_id is not null and order_id not like 'C%'
group by order_lines.customer_id, order_id;

create temp table visits as
select
    visitor_id,
    user_id,
    min(occurred_at) as first_seen_at,
    count(points) as events,
    max(event_date) filter (points is not null) as last_web_date,
    sum(points * if(event_type in ('add_to_cart', 'checkout'), 5, 1)) as points
from (select *, utc_day(occurred_at) as event_date from web)
left join decay using (event_date)
group by all;

create temp table messages as
select
    lower(trim(email)) as email,
    min(occurred_at) as first_seen_at,
    count(distinct message_id) filter (event = 'click' and points is not null) as clicked_emails,
    sum(points) filter (event = 'click') as points,
    bool_or(event in ('unsubscribe', 'complaint')) filter (points is not null) as has_opted_out
from (select *, utc_day(occurred_at) as event_date from email_events)
left join decay using (event_date)
group by all;

-- Identity -------------------------------------------------------------------------------------

-- Every number and address with its customer. A contact has one address, so a customer is the contacts of an address, or a number
-- without one; visitors make no two numbers one customer, because they may have one customer only.
create temp table identifiers as
with addresses as (
    select email, min(first_seen_at) as first_seen_at
    from (
        select email, contact_id, updated_at as first_seen_at from contacts where email is not null
        union all
        select email, null, first_seen_at from messages
    )
    group by email
    -- An address of more contacts is nobody's.
    having count(contact_id) <= $email_max_customers
),
numbers as (
    select number, min(first_seen_at) as first_seen_at
    from (
        select contact_id as number, updated_at as first_seen_at from contacts
        union all
        select user_id, first_seen_at from visits where user_id is not null
        union all
        select number, ordered_at::timestamptz from orders
    )
    group by number
),
seen as (
    select 0 as rank, n.number as name, n.first_seen_at, a.email, if(a.email is null, n.number, null) as number
    from numbers as n
    left join contacts as c on c.contact_id = n.number
    left join addresses as a on a.email = c.email
    union all
    select 1, email, first_seen_at, email, null
    from addresses
),
named as (
    select email, number, arg_min({rank: rank, name: name}, (first_seen_at, rank, name)) as oldest
    from seen
    group by email, number
)
select
    rank,
    name,
    if(oldest.rank = 0, oldest.name, 'email:' || sha256(oldest.name)[:20]) as customer_id
from seen
join named on named.email is not distinct from seen.email and named.number is not distinct from seen.number;

create temp table numbers as select name as number, customer_id from identifiers where rank = 0;

create temp table emails as select name as email, customer_id from identifiers where rank = 1;

-- Visitors who are one customer, whoever logged in.
create temp table visitors as
select visitor_id, min(customer_id) as customer_id
from visits
join numbers on number = user_id
group by visitor_id
having min(customer_id) = max(customer_id);

-- Features and scores --------------------------------------------------------------------------

create temp table buyers as
with bought as (
    select
        customer_id,
        $as_of - max(ordered_at)::date as recency_days,
        count(distinct order_id) as orders,
        sum(revenue) as revenue
    from orders
    join numbers using (number)
    where ordered_at >= $as_of - $window_days
    group by customer_id
)
select
    *,
    ceil(5 * cume_dist() over (order by recency_days desc))::bigint as r_score,
    ceil(5 * cume_dist() over (order by orders))::bigint as f_score,
    ceil(5 * cume_dist() over (order by revenue))::bigint as m_score
from bought;

create temp table customers as
with everybody as (
    select distinct customer_id from identifiers
),
people as (
    select customer_id, max(city) as city, max(country) as country, bool_and(coalesce(email_consent, false)) as has_consent
    from contacts
    join numbers on number = contact_id
    group by customer_id
),
web as (
    select customer_id, sum(events)::bigint as events, sum(points)::bigint as points, max(last_web_date) as last_web_date
    from visits
    join visitors using (visitor_id)
    group by customer_id
),
mail as (
    select customer_id, clicked_emails, points::bigint as points, has_opted_out
    from messages
    join emails using (email)
)
select
    customer_id,
    city,
    country,
    coalesce(has_consent, false) and not coalesce(has_opted_out, false) as may_email,
    recency_days,
    coalesce(orders, 0) as orders,
    coalesce(revenue, 0)::decimal(38, 3) as revenue,
    coalesce(r_score, 0) as r_score,
    coalesce(f_score, 0) as f_score,
    coalesce(m_score, 0) as m_score,
    coalesce(web.events, 0) as web_events,
    coalesce(web.points, 0) / 1000000::double as web_score,
    coalesce(clicked_emails, 0) as clicked_emails,
    coalesce(mail.points, 0) / 1000000::double as email_score,
    last_web_date
from everybody
left join people using (customer_id)
left join buyers using (customer_id)
left join web using (customer_id)
left join mail using (customer_id);
"""


def read_sources(db: duckdb.DuckDBPyConnection, project: Project, extracts: Path) -> None:
    """Declares Parquet extracts as views, so that a query reads the columns that it needs, and reads the contacts."""
    as_of = f"timestamptz '{project.as_of} 00:00:00+00'"

    def once(source: str) -> str:
        # Rows that were delivered twice are equal, so any of them will do.
        return f"distinct on ({', '.join(project.keys[source])})" if project.keys[source] else ""

    db.execute(
        f"""
        create temp view order_lines as
        select
            InvoiceNo as order_id, StockCode as product_code, Quantity::int as quantity, InvoiceDate as ordered_at,
            UnitPrice::decimal(18, 3) as unit_price, CustomerID as customer_id
        from read_parquet({text(extracts / "orders/*.parquet")})
        where ordered_at < timestamp '{project.as_of}' and {contract(project, "orders")}
        """
    )
    db.execute(
        f"""
        create temp view web as
        select {once("web")} occurred_at, visitor_id, user_id, event_type
        from read_parquet({text(extracts / "web/*.parquet")})
        where occurred_at < {as_of} and {contract(project, "web")}
        """
    )
    db.execute(
        f"""
        create temp view email_events as
        select {once("email")} occurred_at, message_id, email, event
        from read_parquet({text(extracts / "email/*.parquet")})
        where occurred_at < {as_of} and {contract(project, "email")} and channel = 'email' and email is not null
        """
    )
    db.execute(
        f"""
        create temp table contacts as
        select distinct on (contact_id)
            contact_id, try_cast(updated_at as timestamptz) as updated_at, lower(trim(email)) as email, city, country,
            try_cast(email_consent as boolean) as email_consent
        from read_csv({text(extracts / "crm/*.csv")}, header = true, all_varchar = true, ignore_errors = true)
        where try_cast(updated_at as timestamptz) < {as_of} and {contract(project, "contacts")}
        order by contact_id, try_cast(updated_at as timestamptz) desc
        """
    )


def main(pipeline: Path, extracts: Path, as_of: str, out: Path) -> None:
    """Runs the job."""
    project = load(pipeline, as_of)
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    db.execute(MACROS)
    read_sources(db, project, extracts)
    limit = project.identifiers["email"]["max_customers"]
    db.execute(Template(MODELS).substitute(project.parameters, as_of=f"date '{as_of}'", email_max_customers=limit))
    assign(db, project)
    write(db, ORDINARY.tables, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
