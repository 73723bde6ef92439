"""The computation of the ordinary project as one would write it for Polars.

usage: python -m ordinary.polars_job PIPELINE EXTRACTS AS_OF OUT_DIR, in the folder bench
"""

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
from polars import col, lit

from benchmarks import ORDINARY
from polars_common import (
    assign,
    before,
    collect,
    count,
    decimal,
    hashed,
    holds,
    only,
    order_lines,
    parsed_moment,
    tidy,
    write,
)
from project import Project, load


def decay(project: Project) -> pl.LazyFrame:
    """What an event of each day of the window is worth today, in millionths."""
    days = range(1, project.parameters["window_days"] + 1)
    # A column of half-lives, because Polars multiplies by the rounded reciprocal of a divisor that is the same in all rows.
    ages = pl.LazyFrame({"age_days": days, "half_life_days": [float(project.parameters["half_life_days"])] * len(days)})
    points = 1_000_000 * lit(0.5).pow(col("age_days").cast(pl.Float64) / col("half_life_days"))
    return ages.select(
        event_date=lit(project.as_of) - pl.duration(days=col("age_days")),
        points=points.round(mode="half_away_from_zero").cast(pl.Int64),
    )


def latest_contacts(project: Project, extracts: Path) -> pl.LazyFrame:
    """One row a contact, in its latest version."""
    # All columns as text: what does not parse is null, which the contract may refuse.
    versions = pl.scan_csv(extracts / "crm" / "*.csv", infer_schema=False).select(
        "contact_id",
        "city",
        "country",
        updated_at=parsed_moment("updated_at"),
        email=tidy(col("email")),
        email_consent=col("email_consent") == "Y",
    )
    return (
        versions.filter(before(project, "updated_at"), holds(project, "contacts"))
        .group_by("contact_id")
        .agg(col("updated_at", "email", "city", "country", "email_consent").get(col("updated_at").arg_max()))
    )


def events(project: Project, extracts: Path, source: str, *conditions: pl.Expr) -> pl.LazyFrame:
    """The events of a source, each once, and what those of the window are worth."""
    rows = pl.scan_parquet(extracts / source / "*.parquet").filter(before(project, "occurred_at"), holds(project, source), *conditions)
    if key := project.keys[source]:
        # Rows that were delivered twice are equal, so any of them will do.
        rows = rows.unique(key, keep="any")
    return rows.with_columns(event_date=col("occurred_at").dt.date()).join(decay(project), on="event_date", how="left")


def whole_orders(lines: pl.LazyFrame) -> pl.LazyFrame:
    """One row an order of a known customer that was not cancelled. Money is in thousandths."""
    return (
        lines.filter(col("customer_id").is_not_null(), ~col("order_id").str.starts_with("C"))
        .group_by("customer_id", "order_id")
        .agg(col("ordered_at").min(), revenue=(col("quantity") * col("unit_price")).sum())
        .select("order_id", "ordered_at", "revenue", number=col("customer_id").cast(pl.String))
    )


def visits_of(web: pl.LazyFrame) -> pl.LazyFrame:
    """One row a visitor and who logged in."""
    counts = col("points").is_not_null()
    weight = pl.when(col("event_type").is_in(["add_to_cart", "checkout"])).then(5).otherwise(1)
    return web.group_by("visitor_id", "user_id").agg(
        first_seen_at=col("occurred_at").min(),
        events=count(counts),
        last_web_date=only(counts, col("event_date")).max(),
        points=(col("points") * weight).sum(),
    )


def messages_to(email: pl.LazyFrame) -> pl.LazyFrame:
    """One row an address that e-mails were sent to."""
    counts = col("points").is_not_null()
    is_click = col("event") == "click"
    # A message that is clicked ten times is one clicked message.
    clicked = (
        email.filter(is_click, counts)
        .select("email", "message_id")
        .unique()
        .group_by("email")
        .agg(clicked_emails=col("message_id").count().cast(pl.Int64))
    )
    return (
        email.group_by("email")
        .agg(
            first_seen_at=col("occurred_at").min(),
            points=only(is_click, col("points")).sum(),
            has_opted_out=(col("event").is_in(["unsubscribe", "complaint"]) & counts).any(),
        )
        .join(clicked, on="email", how="left")
        # By the address as it was written first, so that it is tidied once and not for every message.
        .group_by(email=tidy(col("email")))
        .agg(col("first_seen_at").min(), col("points", "clicked_emails").sum(), col("has_opted_out").any())
    )


def who_is_who(
    project: Project, contacts: pl.LazyFrame, orders: pl.LazyFrame, visits: pl.LazyFrame, messages: pl.LazyFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The customer of every number, and of every address: named by the oldest identifier.

    A contact has one address, so a customer is the contacts of an address, or a number without one; visitors make no two numbers one
    customer, because they may have one customer only.
    """
    given = contacts.filter(col("email").is_not_null()).select("email", first_seen_at="updated_at", contacts=lit(1))
    mailed = messages.select("email", "first_seen_at", contacts=lit(0))
    addresses = (
        pl.concat([given, mailed])
        .group_by("email")
        .agg(col("first_seen_at").min(), col("contacts").sum())
        # An address of more contacts is nobody's.
        .filter(col("contacts") <= project.identifiers["email"]["max_customers"])
        .drop("contacts")
    )
    seen = [
        contacts.select(number="contact_id", first_seen_at="updated_at"),
        visits.filter(col("user_id").is_not_null()).select(number="user_id", first_seen_at="first_seen_at"),
        orders.select("number", first_seen_at=col("ordered_at").dt.cast_time_unit("us").dt.replace_time_zone("UTC")),
    ]
    numbers = (
        pl.concat(seen)
        .group_by("number")
        .agg(col("first_seen_at").min())
        .join(contacts.select("email", number="contact_id"), on="number", how="left")
        .join(addresses.select("email", address="email"), on="email", how="left")
        .drop("email")
    )
    addresses, numbers = collect(addresses, numbers)
    # Numbers of one address, and the address.
    together = pl.concat(
        [
            numbers.filter(col("address").is_not_null()).select("address", "first_seen_at", rank=0, name="number"),
            addresses.select("first_seen_at", address="email", rank=1, name="email").select("address", "first_seen_at", "rank", "name"),
        ]
    )
    named = (
        together.sort("address", "first_seen_at", "rank", "name")
        .group_by("address")
        .agg(col("rank", "name").first())
        .collect(engine="streaming")
    )
    is_address = named["rank"] == 1
    by_address = named.filter(is_address)
    emails = pl.concat(
        [
            named.filter(~is_address).select(email="address", customer_id="name"),
            by_address.select(email="address").with_columns(customer_id=hashed(by_address["name"])),
        ]
    ).lazy()
    of_numbers = numbers.join(emails, left_on="address", right_on="email", how="left").select(
        "number", customer_id=pl.coalesce("customer_id", "number")
    )
    numbers, emails = collect(of_numbers, emails)
    return numbers, emails


def rfm(project: Project, orders: pl.LazyFrame, numbers: pl.LazyFrame) -> pl.LazyFrame:
    """One row a customer with an order in the window, with scores by the share of buyers who are at or below."""

    def score(values: pl.Expr) -> pl.Expr:
        # The rank of the last of equal ones, in fifths of all, rounded up.
        return (5 * values.rank("max").cast(pl.Int64) + pl.len().cast(pl.Int64) - 1) // pl.len().cast(pl.Int64)

    last_date = col("ordered_at").max().dt.date()
    return (
        orders.filter(col("ordered_at").dt.date() >= project.as_of - timedelta(days=project.parameters["window_days"]))
        .join(numbers, on="number")
        .group_by("customer_id")
        .agg(
            recency_days=(lit(project.as_of) - last_date).dt.total_days(),
            orders=col("order_id").n_unique().cast(pl.Int64),
            revenue=col("revenue").sum(),
        )
        .with_columns(r_score=score(-col("recency_days")), f_score=score(col("orders")), m_score=score(col("revenue")))
    )


def web_features(visits: pl.LazyFrame, numbers: pl.LazyFrame) -> pl.LazyFrame:
    """One row a customer who used the site. Visitors who are several customers are nobody's."""
    visitors = (
        visits.join(numbers, left_on="user_id", right_on="number")
        .group_by("visitor_id")
        .agg(col("customer_id").min(), last=col("customer_id").max())
        .filter(col("customer_id") == col("last"))
        .select("visitor_id", "customer_id")
    )
    return (
        visits.join(visitors, on="visitor_id")
        .group_by("customer_id")
        .agg(web_events=col("events").sum(), web_points=col("points").sum(), last_web_date=col("last_web_date").max())
    )


def profile(everybody: pl.LazyFrame, parts: list[pl.LazyFrame]) -> pl.LazyFrame:
    """One row a customer, in the published columns."""
    joined = everybody
    for part in parts:
        joined = joined.join(part, on="customer_id", how="left")

    def zero(name: str) -> pl.Expr:
        return col(name).fill_null(0)

    def millionths(name: str) -> pl.Expr:
        # By way of a decimal, which is divided and not multiplied by a rounded reciprocal.
        return decimal(zero(name), 38, 6).cast(pl.Float64)

    return joined.select(
        "customer_id",
        "city",
        "country",
        may_email=col("has_consent").fill_null(False) & ~col("has_opted_out").fill_null(False),
        recency_days="recency_days",
        orders=zero("orders"),
        revenue=decimal(zero("revenue"), 38, 3),
        r_score=zero("r_score"),
        f_score=zero("f_score"),
        m_score=zero("m_score"),
        web_events=zero("web_events"),
        web_score=millionths("web_points"),
        clicked_emails=zero("clicked_emails"),
        email_score=millionths("email_points"),
        last_web_date="last_web_date",
    )


def main(pipeline: Path, extracts: Path, as_of: str, out: Path) -> None:
    """Runs the job."""
    project = load(pipeline, as_of)
    email = events(project, extracts, "email", col("channel") == "email", col("email").is_not_null())
    contacts, orders, visits, messages = collect(
        latest_contacts(project, extracts),
        whole_orders(order_lines(project, extracts)),
        visits_of(events(project, extracts, "web")),
        messages_to(email),
    )
    numbers, emails = who_is_who(project, contacts, orders, visits, messages)
    people = (
        contacts.join(numbers, left_on="contact_id", right_on="number")
        .group_by("customer_id")
        .agg(col("city", "country").max(), has_consent=col("email_consent").fill_null(False).all())
    )
    mail = messages.join(emails, on="email").select("customer_id", "clicked_emails", "has_opted_out", email_points="points")
    parts = [people, rfm(project, orders, numbers), web_features(visits, numbers), mail]
    everybody = pl.concat([numbers.select("customer_id"), emails.select("customer_id")]).unique()
    (customers,) = collect(profile(everybody, parts).sort(ORDINARY.tables["customers"]))
    (membership,) = collect(assign(project, customers).sort(ORDINARY.tables["segment_membership"]))
    write({"customers": customers, "segment_membership": membership}, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
