"""The computation of the shipped pipeline as one would write it for Polars.

usage: python -m polars_job PIPELINE EXTRACTS AS_OF OUT_DIR, in the folder bench
"""

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
from polars import col, lit, when

from benchmarks import SHIPPED
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

UTC_MOMENT = pl.Datetime("us", "UTC")
EMAIL = "^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$"
DEVICE = ["platform", "device", "os", "browser"]


def quotient(n: pl.Expr, d: pl.Expr) -> pl.Expr:
    """Whole division, half up, null where the divisor is 0."""
    return (2 * n + d) // when(d != 0).then(2 * d)


def units(amount: pl.Expr, scale: int) -> pl.Expr:
    """A decimal as a whole number of its smallest units."""
    return (amount * lit(10**scale)).cast(pl.Int64)


class Sources:
    """The extracts, less the rows that break their contracts or happened on the as-of day or later."""

    def __init__(self, project: Project, extracts: Path) -> None:
        self.project = project
        self.extracts = extracts

    def contacts(self) -> pl.LazyFrame:
        """Versions of contacts; of versions with one key, equal in all columns here, one is kept."""
        path = self.extracts / "crm" / "*.csv"
        names = list(self.project.columns["contacts"])
        # A column beyond the last finds rows that are too long.
        schema = dict.fromkeys([*names, "surplus"], pl.String)
        rows = pl.scan_csv(path, schema=schema, missing_columns="insert", truncate_ragged_lines=True)
        # Rows that are too short come filled up with nulls. They are found in the text: by their
        # commas outside quotes, and told by their first two fields. A record over two lines has an
        # odd number of quotes in each.
        short = (
            text_lines(path)
            .filter(col("line").str.count_matches('"', literal=True) % 2 == 0)
            .filter(col("line").str.replace_all('"[^"]*"', "").str.count_matches(",", literal=True) < len(names) - 1)
            .select(col("line").str.splitn(",", 3).struct.rename_fields(["contact_id", "updated_at", "rest"]))
            .unnest("line")
        )
        rows = rows.filter(col("surplus").is_null()).join(short, on=["contact_id", "updated_at"], how="anti")
        yes_no = {"Y": True, "N": False}
        rows = parsed(
            rows,
            updated_at=parsed_moment("updated_at"),
            birth_date=col("birth_date").str.to_date("%Y-%m-%d", strict=False),
            household_size=col("household_size").cast(pl.Int64, strict=False),
            **{
                name: col(name).replace_strict(yes_no, default=None, return_dtype=pl.Boolean)
                for name in ("email_consent", "sms_consent", "post_consent")
            },
        )
        return rows.filter(before(self.project, "updated_at"), holds(self.project, "contacts")).unique(["contact_id", "updated_at"], keep="any")

    def web(self) -> pl.LazyFrame:
        """Events of the site and the app."""
        events = pl.scan_parquet(self.extracts / "web" / "*.parquet")
        return events.filter(before(self.project, "occurred_at"), holds(self.project, "web"))

    def email(self) -> pl.LazyFrame:
        """Events of the messaging platform."""
        folder = self.extracts / "email"
        if not any(folder.glob("*.ndjson*")):
            events = pl.scan_parquet(folder / "*.parquet")
        else:
            # scan_ndjson stops at a line that is no JSON, and json_decode at a value of another type.
            fields = pl.Struct(dict.fromkeys(self.project.columns["email"], pl.String))
            lines = text_lines(folder / "*.ndjson*").filter(col("line").str.ends_with("}"))
            events = parsed(
                lines.select(col("line").str.json_decode(fields)).unnest("line"),
                event_id=col("event_id").cast(pl.Int64, strict=False),
                occurred_at=parsed_moment("occurred_at"),
            )
        return events.filter(before(self.project, "occurred_at"), holds(self.project, "email"))

    def survey(self) -> pl.LazyFrame:
        """Answers to surveys."""
        # A column beyond the last finds rows that are too long.
        schema = dict.fromkeys([*self.project.columns["survey"], "surplus"], pl.String)
        rows = pl.scan_csv(self.extracts / "survey" / "*.csv", schema=schema, missing_columns="insert", truncate_ragged_lines=True)
        answers = parsed(
            rows.filter(col("surplus").is_null()).drop("surplus"),
            responded_at=parsed_moment("responded_at"),
        )
        return answers.filter(before(self.project, "responded_at"), holds(self.project, "survey"))

    def suppressions(self) -> pl.LazyFrame:
        """Orders not to write to somebody."""
        schema = dict.fromkeys(self.project.columns["suppressions"], pl.String)
        files = list((self.extracts / "suppression").glob("*.csv"))
        orders = parsed(
            pl.scan_csv(files, schema=schema) if files else pl.LazyFrame(schema=schema),
            suppressed_at=parsed_moment("suppressed_at"),
        )
        return orders.filter(before(self.project, "suppressed_at"), holds(self.project, "suppressions"))


def text_lines(path: Path) -> pl.LazyFrame:
    """The lines of text files."""
    return pl.scan_csv(path, has_header=False, schema={"line": pl.String}, separator="\x1f", quote_char=None)


def parsed(rows: pl.LazyFrame, **columns: pl.Expr) -> pl.LazyFrame:
    """Rows with some columns parsed: what does not parse is null, which a contract may refuse."""
    return rows.with_columns(**columns)


def engagement_points(project: Project) -> pl.LazyFrame:
    """What an event of a day is worth, in millionths."""
    ages = pl.LazyFrame({"age_days": range(1, project.parameters["engagement_window_days"] + 1)})
    schema = {"channel": pl.String, "event_type": pl.String, "weight": pl.Float64, "half_life_days": pl.Float64}
    weights = pl.LazyFrame(project.reference["engagement_weights"], schema=schema, orient="row", strict=False)
    points = 1_000_000 * col("weight") * lit(2.0).pow(-col("age_days").cast(pl.Float64) / col("half_life_days"))
    return (
        weights.filter(col("weight") != 0)
        .join(ages, how="cross")
        .select(
            "channel",
            "event_type",
            event_date=lit(project.as_of) - pl.duration(days=col("age_days")),
            points=points.round(mode="half_away_from_zero").cast(pl.Int64),
        )
    )


def whole_orders(project: Project, lines: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Orders by number of the customer, and the products that each number bought. Money is in thousandths."""
    is_sale = (col("quantity") > 0) & (col("unit_price") > 0) & ~col("order_id").str.starts_with("C")
    lines = lines.filter(col("customer_id").is_not_null()).with_columns(is_sale=is_sale, amount=col("quantity") * col("unit_price"))
    service_codes = [code for code, _ in project.reference["service_codes"]]
    number = col("customer_id").cast(pl.String)
    return collect(
        lines.group_by("customer_id", "order_id").agg(
            ordered_at=col("ordered_at").min().dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            order_date=col("ordered_at").min().dt.date(),
            country=col("country").max(),
            is_sale=col("is_sale").any(),
            gross=only(col("is_sale"), col("amount")).sum(),
            refunded=-only(~col("is_sale"), col("amount")).sum(),
        )
        .with_columns(number=number)
        .drop("customer_id"),
        lines.filter(col("is_sale"), ~col("product_code").is_in(service_codes)).select("product_code", number=number).unique(),
    )


def order_features(project: Project, orders: pl.LazyFrame, products: pl.LazyFrame, points: pl.LazyFrame) -> pl.LazyFrame:
    """One row a customer with an order or refund."""
    p, as_of = project.parameters, project.as_of
    products = products.group_by("customer_id").agg(products=col("product_code").n_unique().cast(pl.Int64))
    in_window = col("is_sale") & (col("order_date") >= as_of - timedelta(days=p["rfm_window_days"]))
    sale_date = only(col("is_sale"), col("order_date"))
    of_orders = points.filter(col("channel") == "order").select(order_date="event_date", order_points="points")
    countries = (
        orders.filter(col("is_sale") & col("country").is_not_null())
        .sort("customer_id", "order_date", "country")
        .group_by("customer_id")
        .agg(col("country").last())
    )
    returns = (
        orders.filter("is_sale")
        .select("customer_id", "order_date")
        .unique()
        .sort("customer_id", "order_date")
        .filter(col("order_date").diff().over("customer_id") > timedelta(days=p["lapsed_after_days"]))
        .group_by("customer_id")
        .agg(last_return_date=col("order_date").max())
    )
    buyers = (
        orders.join(of_orders, on="order_date", how="left")
        .group_by("customer_id")
        .agg(
            lifetime_orders=count(col("is_sale")),
            first_order_date=sale_date.min(),
            last_order_date=sale_date.max(),
            gross_lifetime=col("gross").sum(),
            refunded=col("refunded").sum(),
            last_window_date=only(in_window, col("order_date")).max(),
            frequency=count(in_window),
            monetary=only(in_window, col("gross")).sum(),
            order_points=only(col("is_sale"), col("order_points")).sum(),
        )
        .join(countries, on="customer_id", how="left")
        .join(products, on="customer_id", how="left")
        .join(returns, on="customer_id", how="left")
        .with_columns(
            days_since_last_order=(lit(as_of) - col("last_order_date")).dt.total_days(),
            recency_days=(lit(as_of) - col("last_window_date")).dt.total_days(),
        )
    )
    since = col("days_since_last_order")
    stage = (
        when(col("lifetime_orders") == 0)
        .then(lit("prospect"))
        .when(since > p["lapsed_after_days"])
        .then(lit("lapsed"))
        .when(since > p["lapsing_after_days"])
        .then(lit("lapsing"))
        .when(col("last_return_date") >= as_of - timedelta(days=p["lapsing_after_days"]))
        .then(lit("won_back"))
        .when(col("first_order_date") >= as_of - timedelta(days=p["new_for_days"]))
        .then(lit("new"))
        .otherwise(lit("active"))
    )
    return buyers.with_columns(
        r_score=only(col("frequency") > 0, 5 - cuts_below("recency_days")),
        f_score=only(col("frequency") > 0, 1 + cuts_below("frequency")),
        m_score=only(col("frequency") > 0, 1 + cuts_below("monetary")),
        lifecycle_stage=stage,
    )


def cuts_below(name: str) -> pl.Expr:
    """How many of the quintile cut-points among the buyers of the window a value exceeds."""
    buyers = only(col("frequency") > 0, col(name))
    cuts = (buyers.quantile(q, interpolation="linear") for q in (0.2, 0.4, 0.6, 0.8))
    return pl.sum_horizontal((col(name) > cut).cast(pl.Int64) for cut in cuts)


def contact_features(project: Project, versions: pl.LazyFrame) -> pl.LazyFrame:
    """One row a contact by number, in its latest version."""
    as_of = project.as_of
    consents = ("email_consent", "sms_consent")
    refused = {f"{c}_refused": only(~col(c).fill_null(False), col("updated_at")).max() for c in consents}
    stands = {c: col(f"{c}_refused").is_null() | (col("updated_at") > col(f"{c}_refused")) for c in consents}
    latest = (
        versions.join(versions.group_by("contact_id").agg(**refused), on="contact_id")
        .group_by("contact_id")
        .agg(
            col("updated_at").max(),
            first_seen_at=col("updated_at").min(),
            **{f"{c}_since": only(stands[c], col("updated_at")).min() for c in consents},
        )
    )
    birth = col("birth_date")
    born = birth.dt.year().cast(pl.Int64) * 10000 + birth.dt.month().cast(pl.Int64) * 100 + birth.dt.day()
    today = as_of.year * 10000 + as_of.month * 100 + as_of.day
    facts = ["gender", "income_band", "education", "job_title", "household_size", "city", "region", "country"]
    return versions.join(latest, on=["contact_id", "updated_at"]).select(
        "updated_at",
        "first_seen_at",
        *facts,
        col("email_consent").fill_null(False),
        col("sms_consent").fill_null(False),
        col("post_consent").fill_null(False),
        "email_consent_since",
        "sms_consent_since",
        number="contact_id",
        is_contact=lit(True),
        has_loyalty_card=col("loyalty_card").is_not_null(),
        age=only(birth.is_between(as_of - timedelta(days=120 * 365), as_of), (today - born) // 10000),
    )


def contact_addresses(project: Project, versions: pl.LazyFrame) -> pl.LazyFrame:
    """One row for every address that a contact has or has had: since when, and when a later version left it out."""
    versions = versions.sort("contact_id", "updated_at").with_columns(replaced_at=col("updated_at").shift(-1).over("contact_id"))
    digits = col("digits")
    phone = (
        when(digits.str.starts_with("+"))
        .then(digits)
        .when(digits.str.starts_with("00"))
        .then("+" + digits.str.slice(2))
        .when(digits.str.starts_with("0"))
        .then(lit(f"+{project.calling_code}") + digits.str.slice(1))
        .otherwise("+" + digits)
    )
    emails = versions.select("contact_id", "updated_at", "replaced_at", channel=lit("email"), address=tidy(col("email"))).filter(
        col("address").str.contains(EMAIL)
    )
    phones = (
        versions.filter(col("phone").is_not_null())
        .with_columns(digits=col("phone").str.replace_all("(0)", "", literal=True).str.replace_all("[^0-9+]", ""))
        .select("contact_id", "updated_at", "replaced_at", channel=lit("sms"), address=phone)
        .filter(col("address").str.contains("^[+][1-9][0-9]{7,14}$"))
    )
    return (
        pl.concat([emails, phones])
        .group_by(number="contact_id", channel="channel", address="address")
        .agg(
            first_seen_at=col("updated_at").min(),
            given_up_at=only(col("replaced_at").is_not_null().all(), col("replaced_at").max()),
        )
    )


def web_features(events: pl.LazyFrame, points: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Visits by visitor, user and device; and views by visitor, user and category."""
    of_web = points.filter(col("channel") == "web").drop("channel")
    kind, day = col("event_type"), col("event_date")
    visits = (
        events.with_columns(event_date=col("occurred_at").dt.date())
        .join(of_web, on=["event_type", "event_date"], how="left")
        .group_by("visitor_id", "user_id", *DEVICE)
        .agg(
            events=pl.len().cast(pl.Int64),
            product_views=count(kind == "product_view"),
            add_to_carts=count(kind == "add_to_cart"),
            first_visit_date=day.min(),
            last_visit_date=day.max(),
            last_cart_date=only(kind == "add_to_cart", day).max(),
            first_seen_at=col("occurred_at").min(),
            points=col("points").sum(),
        )
    )
    views = (
        events.filter(col("category").is_not_null())
        .group_by("visitor_id", "user_id", "category")
        .agg(views=pl.len().cast(pl.Int64))
    )
    visits, views = collect(visits, views)
    return visits, views


def ownership_of(addresses: pl.LazyFrame) -> pl.LazyFrame:
    """Who had an address when."""
    key = ["channel", "address"]
    others = addresses.select(*key, successor="number", taken_at="first_seen_at", left_at="given_up_at")
    owned_until = (
        addresses.filter(col("given_up_at").is_not_null())
        .join(others, on=key)
        .filter(col("successor") != col("number"), col("left_at").is_null() | (col("left_at") > col("given_up_at")))
        .group_by(*key, "number")
        .agg(owned_until=pl.max_horizontal("given_up_at", "taken_at").min())
    )
    is_first = col("first_seen_at") == col("first_seen_at").min().over(key)
    owned_from = only(~is_first, col("first_seen_at"))
    return addresses.with_columns(owned_from=owned_from).join(owned_until, on=[*key, "number"], how="left")


def former_owners(ownership: pl.LazyFrame) -> pl.LazyFrame:
    """Who had an address before those who have it today, in turn."""
    key = ["channel", "address"]
    taken_at = only(col("owned_from").is_not_null().all(), col("owned_from").min())
    today = ownership.filter(col("owned_until").is_null()).group_by(key).agg(taken_at=taken_at)
    return (
        ownership.filter(col("owned_until").is_not_null())
        .select(*key, "number", "owned_until")
        .join(today, on=key)
        .filter(col("taken_at").is_not_null())
        .sort(*key, "owned_until", "number")
        .with_columns(owned_from=col("owned_until").shift(1).over(key), owned_until=pl.min_horizontal("owned_until", "taken_at"))
        .filter(col("owned_from").is_null() | (col("owned_from") < col("owned_until")))
        .with_columns(turn=col("number").cum_count().over(key))
        .drop("taken_at")
    )


def with_owner(events: pl.LazyFrame, former: pl.LazyFrame, moment: str) -> pl.LazyFrame:
    """Events with who had their address then; null: whoever has it today."""
    key = ["channel", "address"]
    turns = former.select(pl.max("turn")).collect().item() or 0
    events = events.with_columns(former_owner=lit(None, pl.String))
    for turn in range(1, turns + 1):
        began = col("owned_from").is_null() | (col(moment) >= col("owned_from"))
        theirs = only(began & (col(moment) < col("owned_until")), col("number"))
        events = (
            events.join(former.filter(col("turn") == turn).drop("turn"), on=key, how="left")
            .with_columns(former_owner=pl.coalesce("former_owner", theirs))
            .drop("number", "owned_from", "owned_until")
        )
    return events


def message_features(events: pl.LazyFrame, points: pl.LazyFrame, former: pl.LazyFrame) -> pl.LazyFrame:
    """What came of the messages to each address, by who had it then."""
    key, written = ["channel", "address"], ["channel", "email", "phone"]
    kind = col("event_type")
    address = when(col("channel") == "sms").then(col("phone").str.strip_chars(" ")).otherwise(tidy(col("email")))
    sums = {
        "sends": count(kind == "sent"),
        "first_message_at": col("occurred_at").min(),
        "points": col("points").sum(),
    }
    weighed = (
        events.rename({"event": "event_type"})
        .with_columns(event_date=col("occurred_at").dt.date())
        .join(points, on=["channel", "event_type", "event_date"], how="left")
    )
    # By the address as it was written first, so that it is tidied once and not for every message.
    as_written = weighed.group_by(written).agg(**sums).with_columns(address=address).filter(col("address").is_not_null())
    (as_written,) = collect(as_written)
    # Of the few addresses that went to another owner the messages are read again, one by one.
    transferred = former.select(key).unique()
    spellings = as_written.join(transferred, on=key, how="semi").select(written)
    of_former = weighed.join(spellings, on=written, how="semi", nulls_equal=True).with_columns(address=address)
    of_former = with_owner(of_former, former, "occurred_at").group_by(*key, "former_owner").agg(**sums)
    others = as_written.join(transferred, on=key, how="anti").with_columns(former_owner=lit(None, pl.String))
    others = others.group_by(*key, "former_owner").agg(col("sends", "points").sum(), col("first_message_at").min())
    columns = [*key, "former_owner", *sums]
    messages = pl.concat([others.select(columns), of_former.select(columns)])
    # A message that is clicked ten times is one clicked message.
    clicked = events.filter(col("event") == "click").select(
        "channel", "occurred_at", address=address, message_id=col("message_id").fill_null("")
    )
    clicks = with_owner(clicked, former, "occurred_at").group_by(*key, "former_owner")
    clicks = clicks.agg(clicks=col("message_id").n_unique().cast(pl.Int64))
    with_clicks = messages.join(clicks, on=[*key, "former_owner"], how="left", nulls_equal=True)
    return with_clicks.with_columns(col("clicks").fill_null(0))


def message_opt_outs(events: pl.LazyFrame) -> pl.LazyFrame:
    """Unsubscribes, complaints and hard bounces, by address."""
    address = when(col("channel") == "sms").then(col("phone").str.strip_chars(" ")).otherwise(tidy(col("email")))
    is_opt_out = col("event").is_in(["unsubscribe", "complaint"]) | (
        (col("event") == "bounce") & (col("bounce_type") == "hard").fill_null(False)
    )
    return events.filter(is_opt_out).select("channel", "occurred_at", address=address, kind="event")


def survey_answers(answers: pl.LazyFrame, former: pl.LazyFrame) -> pl.LazyFrame:
    """Valid answers, each once, with who had the address then."""
    number = col("answer").cast(pl.Int64, strict=False)
    is_valid = (
        when(col("question") == "nps")
        .then(number.is_between(0, 10))
        .when(col("question") == "csat")
        .then(number.is_between(1, 5))
        .otherwise(lit(True))
    )
    valid = answers.filter(col("email").is_not_null(), is_valid.fill_null(False)).select(
        "question", "answer", "responded_at", channel=lit("email"), address=tidy(col("email")), as_number=number
    )
    return with_owner(valid, former, "responded_at").unique()


def is_junk(project: Project) -> pl.Expr:
    """Whether an e-mail address stands for nobody."""
    patterns = (entry.replace("*", "%") for entry in project.blocked_emails)
    return pl.any_horizontal(pl.sql_expr(f"address like '{pattern}'") for pattern in patterns)


def hold(project: Project, addresses: pl.LazyFrame) -> pl.LazyFrame:
    """The edges between addresses and contacts that hold: no junk, not given up before the next owner had it, and of two at most."""
    key = ["channel", "address"]
    usable = addresses.filter((col("channel") != "email") | ~is_junk(project))
    later = usable.select(*key, successor="number", taken_at="first_seen_at")
    transferred = (
        usable.filter(col("given_up_at").is_not_null())
        .join(later, on=key)
        .filter(col("successor") != col("number"), col("taken_at") >= col("given_up_at"))
    )
    kept = usable.join(transferred.select(*key, "number").unique(), on=[*key, "number"], how="anti")
    owners = kept.group_by(key).agg(owners=pl.len(), kept_since=col("first_seen_at").min())
    ever = addresses.group_by(key).agg(ever=pl.len())
    return kept.join(owners, on=key).join(ever, on=key).with_columns(holds=col("owners") <= 2)


def who_is_who(
    project: Project,
    seen: pl.LazyFrame,
    seen_emails: pl.LazyFrame,
    addresses: pl.LazyFrame,
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The customer of every number, and of every address: named by the oldest identifier."""
    key = ["channel", "address"]
    (edges,) = collect(hold(project, addresses))
    held = edges.filter("holds")
    # Generated contacts are one person with one other at most.
    pairs = held.select(*key, "number").join(held.select(*key, twin="number"), on=key)
    twins = pairs.filter(col("number") != col("twin")).select("number", "twin").unique()
    first_emails = seen_emails.group_by("address").agg(first_seen_at=col("first_seen_at").min())
    emails = held.filter(col("channel") == "email").drop("first_seen_at").join(first_emails, on="address")
    # What was seen of an address before it went to the next owner was another's.
    since = when(col("owners") < col("ever")).then(col("kept_since")).otherwise(col("first_seen_at"))
    identifiers = pl.concat(
        [
            seen.group_by("number").agg(first_seen_at=col("first_seen_at").min()).with_columns(rank=0, name=col("number")),
            emails.select("number", first_seen_at=since, rank=1, name="address"),
        ]
    )
    of_twins = identifiers.join(twins, on="number").select("first_seen_at", "rank", "name", number="twin")
    oldest = (
        pl.concat([identifiers, of_twins.select("number", "first_seen_at", "rank", "name")])
        .sort("number", "first_seen_at", "rank", "name")
        .group_by("number")
        .agg(col("rank").first(), col("name").first())
        .collect(engine="streaming")
    )
    by_email = oldest.filter(col("rank") == 1).with_columns(hashed_name=hashed(oldest.filter(col("rank") == 1)["name"]))
    numbers = pl.concat(
        [
            oldest.filter(col("rank") == 0).select("number", customer_id="name"),
            by_email.select("number", customer_id="hashed_name"),
        ]
    ).lazy()
    strangers = (
        seen_emails.select("address")
        .unique()
        .join(addresses.filter(col("channel") == "email"), on="address", how="anti")
        .filter(col("address").str.contains(EMAIL), ~is_junk(project))
        .collect(engine="streaming")
    )
    strangers = strangers.with_columns(customer_id=hashed(strangers["address"]), channel=lit("email"))
    recipients = pl.concat(
        [
            held.join(numbers, on="number").select(*key, "customer_id").unique(),
            strangers.select(*key, "customer_id").lazy(),
        ]
    )
    numbers, recipients = collect(numbers, recipients)
    return numbers, recipients


def merge_contacts(contacts: pl.LazyFrame, numbers: pl.LazyFrame) -> pl.LazyFrame:
    """One row a customer: of several contacts the last updated speaks, and consent needs all."""
    all_of = ["email_consent", "sms_consent", "post_consent"]
    last_of = ["email_consent_since", "sms_consent_since"]
    rest = ["is_contact", "age", "gender", "income_band", "education", "job_title", "household_size", "city", "region", "country"]
    return (
        contacts.join(numbers, on="number")
        .sort("customer_id", "updated_at", "number")
        .group_by("customer_id")
        .agg(
            col(*rest).last(),
            col("has_loyalty_card").any(),
            col(*all_of).all(),
            col(*last_of).max(),
            first_contact_date=col("first_seen_at").min().dt.date(),
        )
    )


def opt_outs_by_contact(opt_outs: pl.LazyFrame, ownership: pl.LazyFrame) -> pl.LazyFrame:
    """Whose an opt-out is: that of who owned the address then."""
    key = ["channel", "address"]
    moment = col("occurred_at")
    theirs = (col("owned_from").is_null() | (moment >= col("owned_from"))) & (col("owned_until").is_null() | (moment < col("owned_until")))
    return opt_outs.join(ownership, on=key).filter(theirs).select(*key, "number", "kind", "occurred_at")


def of_whoever_had_it(events: pl.LazyFrame, recipients: pl.LazyFrame, numbers: pl.LazyFrame) -> pl.LazyFrame:
    """Events with the customer who had their address then."""
    former = numbers.select(former_owner="number", former_id="customer_id")
    customer = when(col("former_owner").is_null()).then(col("customer_id")).otherwise(col("former_id"))
    return (
        events.join(recipients, on=["channel", "address"])
        .join(former, on="former_owner", how="left")
        .with_columns(customer_id=customer)
        .drop("former_id")
    )


def customer_opt_outs(
    opt_outs: pl.LazyFrame,
    by_contact: pl.LazyFrame,
    suppressions: pl.LazyFrame,
    addresses: pl.LazyFrame,
    numbers: pl.LazyFrame,
    recipients: pl.LazyFrame,
) -> pl.LazyFrame:
    """What each customer refused, by channel."""
    key = ["channel", "address"]
    ordered = suppressions.select(
        "contact_id",
        order_channel="channel",
        channel=when(col("email").is_not_null()).then(lit("email")).otherwise(lit("sms")),
        address=when(col("email").is_not_null()).then(tidy(col("email"))).otherwise(col("phone").str.replace_all("[^0-9+]", "")),
    )
    suppressed = pl.concat(
        [
            ordered.join(numbers, left_on="contact_id", right_on="number").select("customer_id", channel="order_channel"),
            ordered.filter(col("contact_id").is_null())
            .join(addresses, on=key)
            .join(numbers, on="number")
            .select("customer_id", channel="order_channel"),
            ordered.filter(col("contact_id").is_null())
            .join(recipients, on=key)
            .select("customer_id", channel="order_channel"),
        ]
    )
    of_all = suppressed.with_columns(col("channel").fill_null("email sms post").str.split(" ")).explode("channel")
    stated = pl.concat(
        [
            by_contact.join(numbers, on="number").select("customer_id", "channel", "kind", "occurred_at"),
            opt_outs.join(addresses, on=key, how="anti")
            .join(recipients, on=key)
            .select("customer_id", "channel", "kind", "occurred_at"),
            of_all.select("customer_id", "channel", kind=lit("suppression"), occurred_at=lit(None, UTC_MOMENT)),
        ]
    )
    kind = col("kind")
    return stated.group_by("customer_id", "channel").agg(
        is_suppressed=(kind == "suppression").any(),
        has_complained=(kind == "complaint").any(),
        unsubscribed_at=only(kind == "unsubscribe", col("occurred_at")).max(),
    )


def customer_web(project: Project, visits: pl.LazyFrame, views: pl.LazyFrame, owners: pl.LazyFrame) -> list[pl.LazyFrame]:
    """What customers do on the site and in the app, and the categories they look at."""
    by_owner = {"customer_id": pl.coalesce("user_customer_id", "owner")}
    devices = (
        visits.join(owners, on="visitor_id", how="left")
        .with_columns(**by_owner)
        .filter(col("customer_id").is_not_null())
        .group_by("customer_id", *DEVICE)
        .agg(
            col("events", "product_views", "add_to_carts", "points").sum(),
            col("first_visit_date").min(),
            col("last_visit_date", "last_cart_date").max(),
        )
    )
    web = (
        devices.sort("customer_id", "events", "last_visit_date", *DEVICE, nulls_last=False)
        .group_by("customer_id")
        .agg(
            *(col(name).last().alias(f"primary_{name}") for name in DEVICE),
            devices=pl.len().cast(pl.Int64),
            web_events=col("events").sum(),
            product_views=col("product_views").sum(),
            add_to_carts=col("add_to_carts").sum(),
            first_visit_date=col("first_visit_date").min(),
            days_since_last_visit=(lit(project.as_of) - col("last_visit_date").max()).dt.total_days(),
            days_since_last_cart=(lit(project.as_of) - col("last_cart_date").max()).dt.total_days(),
            web_points=col("points").sum(),
        )
    )
    categories = (
        views.join(owners, on="visitor_id", how="left")
        .with_columns(**by_owner)
        .filter(col("customer_id").is_not_null())
        .group_by("customer_id", "category")
        .agg(col("views").sum())
        .sort("customer_id", "views", "category")
        .group_by("customer_id")
        .agg(top_category=col("category").last(), categories=pl.len().cast(pl.Int64))
    )
    return [web, categories]


def customer_messages(messages: pl.LazyFrame) -> pl.LazyFrame:
    """How customers take e-mail and SMS."""
    of = {channel: col("channel") == channel for channel in ("email", "sms")}
    return (
        messages.group_by("customer_id")
        .agg(
            *(
                only(of[channel], col(what)).sum().alias(f"{channel}_{what}")
                for channel in of
                for what in ("sends", "clicks")
            ),
            first_message_date=col("first_message_at").min().dt.date(),
            message_points=col("points").sum(),
        )
    )


def customer_answers(answers: pl.LazyFrame, points: pl.LazyFrame) -> pl.LazyFrame:
    """What customers say of themselves: the latest answer to each question."""
    of_survey = points.filter(col("channel") == "survey").select("event_date", survey_points="points")
    # A respondent's response counts once, however many questions it answers.
    responses = (
        answers.select("customer_id", "address", event_date=col("responded_at").dt.date())
        .unique()
        .join(of_survey, on="event_date", how="left")
        .group_by("customer_id")
        .agg(col("survey_points").sum(), first_response_date=col("event_date").min())
    )
    asked = {q: col("question") == q for q in ("nps", "csat", "top_need", "lifestyle", "interest")}
    latest = answers.filter(col("responded_at") == col("responded_at").max().over("customer_id", "question"))
    return (
        latest.group_by("customer_id")
        .agg(
            nps=only(asked["nps"], col("as_number")).max(),
            csat=only(asked["csat"], col("as_number")).max(),
            top_need=only(asked["top_need"], col("answer")).max(),
            lifestyle=only(asked["lifestyle"], col("answer")).max(),
            interests=col("answer").filter(asked["interest"]).unique().sort().str.join(","),
        )
        .with_columns(interests=only(col("interests") != "", col("interests")))
        .join(responses, on="customer_id")
    )


def permissions(
    project: Project,
    contacts: pl.LazyFrame,
    addresses: pl.LazyFrame,
    numbers: pl.LazyFrame,
    recipients: pl.LazyFrame,
    by_contact: pl.LazyFrame,
    refused: pl.LazyFrame,
    of_customers: pl.LazyFrame,
) -> pl.LazyFrame:
    """Who may be written to, by channel, if not, why, and the channel to choose."""
    p = project.parameters
    key = ["channel", "address"]
    bounced = by_contact.filter(col("kind") == "bounce").select(*key, "number", has_bounced=lit(True)).unique()
    reachable = (
        addresses.filter(col("given_up_at").is_null())
        .join(numbers, on="number")
        .join(recipients.with_columns(leads=lit(True)), on=[*key, "customer_id"], how="left")
        .join(bounced, on=[*key, "number"], how="left")
        .group_by("customer_id", "channel")
        .agg(
            works=(col("leads").fill_null(False) & ~col("has_bounced").fill_null(False)).any(),
            bounced=col("has_bounced").fill_null(False).any(),
        )
    )
    joined = contacts
    for channel in ("email", "sms", "post"):
        for part in (reachable, refused):
            of_channel = part.filter(col("channel") == channel).drop("channel")
            names = [name for name in of_channel.collect_schema().names() if name != "customer_id"]
            renamed = of_channel.rename({name: f"{channel}_{name}" for name in names})
            joined = joined.join(renamed, on="customer_id", how="left")

    def reason(channel: str) -> pl.Expr:
        unsubscribed = col(f"{channel}_unsubscribed_at")
        stated = (
            when(col(f"{channel}_is_suppressed").fill_null(False))
            .then(lit("suppressed"))
            .when(col(f"{channel}_has_complained").fill_null(False))
            .then(lit("complaint"))
            .when(~col(f"{channel}_consent"))
            .then(lit("no_consent"))
        )
        if channel == "post":
            return stated
        return (
            stated.when(unsubscribed.is_not_null() & ~(col(f"{channel}_consent_since") > unsubscribed).fill_null(False))
            .then(lit("unsubscribed"))
            .when(col(f"{channel}_works").fill_null(False))
            .then(lit(None, pl.String))
            .when(col(f"{channel}_bounced").fill_null(False))
            .then(lit("bounced"))
            .otherwise(lit("no_address"))
        )

    def rate(channel: str) -> pl.Expr:
        sends = col(f"{channel}_sends")
        responses = pl.min_horizontal(f"{channel}_clicks", sends) + p["channel_prior_responses"]
        smoothed = 1_000_000 * responses // (sends + p["channel_prior_responses"] + p["channel_prior_silences"])
        return only(col(f"can_{channel}") & (sends >= p["channel_min_sends"]), smoothed)

    preferred = (
        when(rate("sms") > rate("email").fill_null(-1))
        .then(lit("sms"))
        .when("can_email")
        .then(lit("email"))
        .when("can_sms")
        .then(lit("sms"))
        .when("can_post")
        .then(lit("post"))
        .otherwise(lit("none"))
    )
    reasons = {f"no_{channel}_reason": reason(channel) for channel in ("email", "sms", "post")}
    return (
        joined.join(of_customers, on="customer_id", how="left")
        .with_columns(**reasons)
        .with_columns(col(f"no_{channel}_reason").is_null().alias(f"can_{channel}") for channel in ("email", "sms", "post"))
        .select("customer_id", "can_email", "can_sms", "can_post", *reasons, may_be_reached=lit(True), preferred_channel=preferred)
    )


def profile(project: Project, everybody: pl.LazyFrame, parts: list[pl.LazyFrame]) -> pl.LazyFrame:
    """One row a customer, in the published columns."""
    p = project.parameters
    joined = everybody
    for part in parts:
        joined = joined.join(part, on="customer_id", how="left", suffix="_other")
    areas = ["web_points", "message_points", "order_points", "survey_points"]
    joined = joined.with_columns(col(areas).fill_null(0)).with_columns(points=pl.sum_horizontal(areas))
    points, orders = col("points"), col("lifetime_orders")
    days = (col("last_order_date") - col("first_order_date")).dt.total_days()
    dates = ["first_contact_date", "first_order_date", "first_visit_date", "first_message_date", "first_response_date"]

    def zero(*names: str) -> list[pl.Expr]:
        return [col(name).fill_null(0) for name in names]

    def no(*names: str) -> list[pl.Expr]:
        return [col(name).fill_null(False) for name in names]

    def money(name: str) -> pl.Expr:
        return decimal(col(name).fill_null(0), 18, 3).alias(name)

    return joined.select(
        "customer_id",
        *no("is_contact"),
        (orders > 0).fill_null(False).alias("has_orders"),
        pl.min_horizontal(dates).alias("first_seen_date"),
        *("age", "gender", "income_band", "education", "job_title", "household_size"),
        pl.coalesce("country", "country_other").alias("country"),
        *("region", "city", "primary_platform", "primary_device", "primary_os", "primary_browser"),
        *zero("devices", "lifetime_orders"),
        *("first_order_date", "last_order_date", "days_since_last_order"),
        decimal(quotient(col("gross_lifetime"), 10 * orders), 18, 2).alias("average_order_value"),
        decimal(quotient(10 * days, orders - 1), 9, 1).alias("average_days_between_orders"),
        *zero("products"),
        *no("has_loyalty_card"),
        "recency_days",
        *zero("frequency"),
        money("monetary"),
        *zero("r_score", "f_score", "m_score", "web_events", "product_views", "add_to_carts"),
        *("days_since_last_visit", "days_since_last_cart"),
        *zero("categories"),
        decimal(points, 18, 6).alias("engagement_score"),
        decimal(col("web_points"), 18, 6).alias("web_engagement"),
        decimal(col("message_points"), 18, 6).alias("message_engagement"),
        decimal(col("order_points"), 18, 6).alias("order_engagement"),
        decimal(col("survey_points"), 18, 6).alias("survey_engagement"),
        when(points >= p["high_engagement"] * 1_000_000)
        .then(lit("high"))
        .when(points >= p["medium_engagement"] * 1_000_000)
        .then(lit("medium"))
        .when(points > 0)
        .then(lit("low"))
        .otherwise(lit("none"))
        .alias("engagement_level"),
        *zero("email_sends", "email_clicks", "sms_sends", "sms_clicks"),
        *("lifestyle", "interests", "top_category", "top_need"),
        money("gross_lifetime"),
        money("refunded"),
        decimal((col("gross_lifetime") - col("refunded")).fill_null(0), 18, 3).alias("net_lifetime"),
        col("lifecycle_stage").fill_null("prospect"),
        "nps",
        when(col("nps") >= 9)
        .then(lit("promoter"))
        .when(col("nps") >= 7)
        .then(lit("passive"))
        .when(col("nps") >= 0)
        .then(lit("detractor"))
        .alias("nps_group"),
        "csat",
        *no("email_consent", "sms_consent", "post_consent", "can_email", "can_sms", "can_post"),
        *(
            when(col("may_be_reached").is_null()).then(lit("no_contact")).otherwise(col(name)).alias(name)
            for name in ("no_email_reason", "no_sms_reason", "no_post_reason")
        ),
        col("preferred_channel").fill_null("none"),
    )


def summarise(project: Project, customers: pl.LazyFrame, membership: pl.LazyFrame) -> pl.LazyFrame:
    """What each segment is like."""
    names = ["segment_set", "segment", "set_kind", "priority", "description", "action", "channel"]
    segments = pl.LazyFrame([{name: getattr(s, name) for name in names} for s in project.segments])
    scores = ["r_score", "f_score", "m_score"]
    flags = ["can_email", "can_sms", "can_post"]
    members = (
        membership.join(customers, on="customer_id")
        .group_by("segment_set", "segment")
        .agg(
            col("net_lifetime", "gross_lifetime", "engagement_score", "lifetime_orders", *scores).sum(),
            *(count(col(flag)).alias(flag) for flag in flags),
            customers=pl.len().cast(pl.Int64),
            revenue=col("monetary").sum(),
            buyers=count(col("frequency") > 0),
        )
    )
    size = col("customers")
    return (
        segments.join(members, on=["segment_set", "segment"], how="left")
        .join(customers.select(everybody=pl.len().cast(pl.Int64)), how="cross")
        .select(
            *names,
            size.fill_null(0),
            decimal(quotient(1_000_000 * size.fill_null(0), col("everybody")), 9, 6).alias("share"),
            col("revenue").fill_null(0).cast(pl.Decimal(18, 3)),
            col("net_lifetime").fill_null(0).cast(pl.Decimal(18, 3)),
            decimal(quotient(units(col("gross_lifetime"), 3), 10 * col("lifetime_orders")), 18, 2).alias("average_order_value"),
            *(decimal(quotient(100 * col(s), col("buyers")), 9, 2).alias(f"mean_{s}") for s in scores),
            decimal(quotient(units(col("engagement_score"), 6), 10_000 * size), 18, 2).alias("mean_engagement"),
            *(col(flag).fill_null(0) for flag in flags),
        )
    )


def main(pipeline: Path, extracts: Path, as_of: str, out: Path) -> None:
    """Runs the job."""
    project = load(pipeline, as_of, SHIPPED.left_out)
    sources = Sources(project, extracts)
    (points,) = collect(engagement_points(project))

    (versions,) = collect(sources.contacts())
    visits, views = web_features(sources.web(), points)
    orders, products = whole_orders(project, order_lines(project, extracts))
    contacts, addresses = collect(contact_features(project, versions), contact_addresses(project, versions))
    (ownership,) = collect(ownership_of(addresses))
    (former,) = collect(former_owners(ownership))
    messages, opt_outs, answers, suppressions = collect(
        message_features(sources.email(), points, former),
        message_opt_outs(sources.email()),
        survey_answers(sources.survey(), former),
        sources.suppressions(),
    )

    logins = visits.filter(col("user_id").is_not_null())
    of_email = col("channel") == "email"
    seen = [
        orders.select("number", first_seen_at="ordered_at"),
        contacts.select("number", "first_seen_at"),
        logins.select("first_seen_at", number="user_id").select("number", "first_seen_at"),
    ]
    seen_emails = [
        addresses.filter(of_email).select("address", "first_seen_at"),
        messages.filter(of_email).select("address", first_seen_at="first_message_at"),
        answers.select("address", first_seen_at="responded_at"),
    ]
    numbers, recipients = who_is_who(project, pl.concat(seen), pl.concat(seen_emails), addresses)
    emails = recipients.filter(of_email).select("address", "customer_id")
    users = numbers.select(user_id="number", user_customer_id="customer_id")
    visits, views, contacts, by_contact = collect(
        visits.join(users, on="user_id", how="left"),
        views.join(users, on="user_id", how="left"),
        merge_contacts(contacts, numbers),
        opt_outs_by_contact(opt_outs, ownership),
    )
    owners = (
        visits.filter(col("user_customer_id").is_not_null())
        .group_by("visitor_id")
        .agg(owner=col("user_customer_id").min(), last=col("user_customer_id").max())
        .filter(col("owner") == col("last"))
        .drop("last")
    )
    buyers = order_features(project, orders.join(numbers, on="number"), products.join(numbers, on="number"), points)
    refused = customer_opt_outs(opt_outs, by_contact, suppressions, addresses, numbers, recipients)
    owners, buyers, refused, of_customers = collect(owners, buyers, refused, customer_messages(of_whoever_had_it(messages, recipients, numbers)))
    everybody = pl.concat([numbers.select("customer_id"), emails.select("customer_id")]).unique()
    parts = [
        contacts,
        buyers,
        *customer_web(project, visits, views, owners),
        of_customers,
        customer_answers(of_whoever_had_it(answers, recipients, numbers), points),
        permissions(project, contacts, addresses, numbers, recipients, by_contact, refused, of_customers),
    ]
    (customers,) = collect(profile(project, everybody, parts).sort(SHIPPED.tables["customers"]))
    (membership,) = collect(assign(project, customers).sort(SHIPPED.tables["segment_membership"]))
    (summary,) = collect(summarise(project, customers, membership).sort(SHIPPED.tables["segment_summary"]))
    write({"customers": customers, "segment_membership": membership, "segment_summary": summary}, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
