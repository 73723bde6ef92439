"""The computation of the shipped pipeline as one would write it for Polars.

usage: polars_job.py EXTRACTS AS_OF OUT_DIR
"""

import hashlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from polars import col, lit, when

import project as shipped

MOMENT = "%Y-%m-%dT%H:%M:%SZ"
UTC_MOMENT = pl.Datetime("us", "UTC")
SETUP = ["platform", "device", "os", "browser"]


def collect(*frames: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Computes frames that are read more than once, together, so that they share what they read."""
    return [frame.lazy() for frame in pl.collect_all(list(frames), engine="streaming")]


def count(condition: pl.Expr) -> pl.Expr:
    """How many rows of a group meet a condition."""
    return condition.sum().cast(pl.Int64)


def only(condition: pl.Expr, value: pl.Expr) -> pl.Expr:
    """A value where a condition holds, null elsewhere: cheaper to aggregate than a filter inside a group."""
    return when(condition).then(value)


def quotient(n: pl.Expr, d: pl.Expr) -> pl.Expr:
    """Whole division, half up, null where the divisor is 0."""
    return (2 * n + d) // when(d != 0).then(2 * d)


def decimal(units: pl.Expr, precision: int, scale: int) -> pl.Expr:
    """A whole number of smallest units as a decimal."""
    return (units.cast(pl.Decimal(38, scale)) / lit(10**scale).cast(pl.Decimal(38, scale))).cast(pl.Decimal(precision, scale))


def units(amount: pl.Expr, scale: int) -> pl.Expr:
    """A decimal as a whole number of its smallest units."""
    return (amount * lit(10**scale)).cast(pl.Int64)


class Sources:
    """The extracts, less the rows that break their contracts or happened on the as-of day or later."""

    def __init__(self, project: shipped.Project, extracts: Path) -> None:
        self.project = project
        self.extracts = extracts

    def orders(self) -> pl.LazyFrame:
        """Invoice lines; prices are in thousandths."""
        lines = pl.scan_parquet(self.extracts / "orders" / "*.parquet").select(
            order_id="InvoiceNo",
            product_code="StockCode",
            quantity=col("Quantity").cast(pl.Int64),
            ordered_at="InvoiceDate",
            unit_price=(col("UnitPrice") * 1000).round().cast(pl.Int64),
            customer_id="CustomerID",
            country=col("Country").replace("Unspecified", None),
        )
        as_of = datetime.combine(self.project.as_of, datetime.min.time())
        return lines.filter(col("ordered_at") < as_of, self.holds("orders"))

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
            updated_at=col("updated_at").str.to_datetime(MOMENT, time_zone="UTC", time_unit="us", strict=False),
            birth_date=col("birth_date").str.to_date("%Y-%m-%d", strict=False),
            household_size=col("household_size").cast(pl.Int64, strict=False),
            **{
                name: col(name).replace_strict(yes_no, default=None, return_dtype=pl.Boolean)
                for name in ("email_consent", "sms_consent", "post_consent")
            },
        )
        return rows.filter(self.before("updated_at"), self.holds("contacts")).unique(["contact_id", "updated_at"], keep="any")

    def web(self) -> pl.LazyFrame:
        """Events of the site and the app."""
        events = pl.scan_parquet(self.extracts / "web" / "*.parquet")
        return events.filter(self.before("occurred_at"), self.holds("web"))

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
                occurred_at=col("occurred_at").str.to_datetime(MOMENT, time_zone="UTC", time_unit="us", strict=False),
            )
        return events.filter(self.before("occurred_at"), self.holds("email"))

    def survey(self) -> pl.LazyFrame:
        """Answers to surveys."""
        schema = dict.fromkeys(self.project.columns["survey"], pl.String)
        answers = parsed(
            pl.scan_csv(self.extracts / "survey" / "*.csv", schema=schema),
            responded_at=col("responded_at").str.to_datetime(MOMENT, time_zone="UTC", time_unit="us", strict=False),
        )
        return answers.filter(self.before("responded_at"), self.holds("survey"))

    def before(self, column: str) -> pl.Expr:
        """Whether something happened before the as-of day."""
        return col(column) < datetime.combine(self.project.as_of, datetime.min.time(), UTC)

    def holds(self, source: str) -> pl.Expr:
        """Whether a row has what its contract requires, and nothing it does not accept."""
        required = [col(name).is_not_null() for name in self.project.required(source)]
        accepted = [col(name).is_null() | col(name).is_in(values) for name, values in self.project.accepted(source).items()]
        return pl.all_horizontal(*required, *accepted)


def text_lines(path: Path) -> pl.LazyFrame:
    """The lines of text files."""
    return pl.scan_csv(path, has_header=False, schema={"line": pl.String}, separator="\x1f", quote_char=None)


def parsed(rows: pl.LazyFrame, **columns: pl.Expr) -> pl.LazyFrame:
    """Rows with some columns parsed, less those that do not parse."""
    return (
        rows.with_columns(
            pl.all_horizontal(*(e.is_null() == col(n).is_null() for n, e in columns.items())).alias("parses"), **columns
        )
        .filter("parses")
        .drop("parses")
    )


def engagement_points(project: shipped.Project) -> pl.LazyFrame:
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


def order_features(project: shipped.Project, lines: pl.LazyFrame, points: pl.LazyFrame) -> pl.LazyFrame:
    """One row a customer with an order or refund. Money is in thousandths."""
    p, as_of = project.parameters, project.as_of
    is_sale = (col("quantity") > 0) & (col("unit_price") > 0) & ~col("order_id").str.starts_with("C")
    lines = lines.filter(col("customer_id").is_not_null()).with_columns(is_sale=is_sale, amount=col("quantity") * col("unit_price"))
    service_codes = [code for code, _ in project.reference["service_codes"]]
    orders, products = collect(
        lines.group_by("customer_id", "order_id").agg(
            order_date=col("ordered_at").min().dt.date(),
            country=col("country").max(),
            is_sale=col("is_sale").any(),
            gross=only(col("is_sale"), col("amount")).sum(),
            refunded=-only(~col("is_sale"), col("amount")).sum(),
        ),
        lines.filter(col("is_sale"), ~col("product_code").is_in(service_codes))
        .group_by("customer_id")
        .agg(products=col("product_code").n_unique().cast(pl.Int64)),
    )
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
            col("customer_id").cast(pl.String),
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


def contact_features(project: shipped.Project, versions: pl.LazyFrame) -> pl.LazyFrame:
    """One row a contact, in its latest version."""
    as_of = project.as_of
    consents = ("email_consent", "sms_consent")
    refused = {f"{c}_refused": only(~col(c).fill_null(False), col("updated_at")).max() for c in consents}
    stands = {c: col(f"{c}_refused").is_null() | (col("updated_at") > col(f"{c}_refused")) for c in consents}
    latest = (
        versions.join(versions.group_by("contact_id").agg(**refused), on="contact_id")
        .group_by("contact_id")
        .agg(
            col("updated_at").max(),
            first_contact_date=col("updated_at").min().dt.date(),
            **{f"{c}_since": only(stands[c], col("updated_at")).min() for c in consents},
        )
    )
    birth = col("birth_date")
    born = birth.dt.year().cast(pl.Int64) * 10000 + birth.dt.month().cast(pl.Int64) * 100 + birth.dt.day()
    today = as_of.year * 10000 + as_of.month * 100 + as_of.day
    facts = ["gender", "income_band", "education", "job_title", "household_size", "city", "region", "country"]
    return versions.join(latest, on=["contact_id", "updated_at"]).select(
        "updated_at",
        "first_contact_date",
        *facts,
        col("email_consent").fill_null(False),
        col("sms_consent").fill_null(False),
        col("post_consent").fill_null(False),
        "email_consent_since",
        "sms_consent_since",
        customer_id="contact_id",
        is_contact=lit(True),
        has_loyalty_card=col("loyalty_card").is_not_null(),
        age=only(birth.is_between(as_of - timedelta(days=120 * 365), as_of), (today - born) // 10000),
    )


def contact_addresses(project: shipped.Project, versions: pl.LazyFrame) -> pl.LazyFrame:
    """One row for every address that a contact has or has had."""
    digits = col("digits")
    phone = (
        when(digits.str.starts_with("+"))
        .then(digits)
        .when(digits.str.starts_with("00"))
        .then("+" + digits.str.slice(2))
        .when(digits.str.starts_with("0"))
        .then(lit(f"+{project.parameters['default_calling_code']}") + digits.str.slice(1))
        .otherwise("+" + digits)
    )
    emails = versions.filter(col("email").is_not_null()).select(
        "contact_id", "updated_at", channel=lit("email"), address=tidy(col("email"))
    )
    phones = (
        versions.filter(col("phone").is_not_null())
        .with_columns(digits=col("phone").str.replace_all("(0)", "", literal=True).str.replace_all("[^0-9+]", ""))
        .select("contact_id", "updated_at", channel=lit("sms"), address=phone)
        .filter(col("address").str.contains("^[+][1-9][0-9]{7,14}$"))
    )
    return (
        pl.concat([emails, phones])
        .group_by(customer_id="contact_id", channel="channel", address="address")
        .agg(last_seen_at=col("updated_at").max())
    )


def tidy(email: pl.Expr) -> pl.Expr:
    """An e-mail address as it is compared."""
    return email.str.strip_chars(" ").str.to_lowercase()


def web_features(events: pl.LazyFrame, points: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Visits by visitor, user and set-up; and views by visitor, user and category."""
    of_web = points.filter(col("channel") == "web").drop("channel")
    kind, day = col("event_type"), col("event_date")
    visits = (
        events.with_columns(event_date=col("occurred_at").dt.date())
        .join(of_web, on=["event_type", "event_date"], how="left")
        .group_by("visitor_id", "user_id", *SETUP)
        .agg(
            events=pl.len().cast(pl.Int64),
            product_views=count(kind == "product_view"),
            add_to_carts=count(kind == "add_to_cart"),
            first_visit_date=day.min(),
            last_visit_date=day.max(),
            last_cart_date=only(kind == "add_to_cart", day).max(),
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


def message_features(events: pl.LazyFrame, points: pl.LazyFrame) -> pl.LazyFrame:
    """What came of the messages to each address."""
    kind = col("event_type")
    address = when(col("channel") == "sms").then(col("phone").str.strip_chars(" ")).otherwise(tidy(col("email")))
    return (
        events.rename({"event": "event_type"})
        .with_columns(event_date=col("occurred_at").dt.date())
        .join(points, on=["channel", "event_type", "event_date"], how="left")
        # By the address as it was written first, so that it is tidied once and not for every message.
        .group_by("channel", "email", "phone")
        .agg(
            sends=count(kind == "sent"),
            clicks=count(kind == "click"),
            complaints=count(kind == "complaint"),
            hard_bounces=count((kind == "bounce") & (col("bounce_type") == "hard").fill_null(False)),
            unsubscribed_at=only(kind == "unsubscribe", col("occurred_at")).max(),
            first_message_date=col("event_date").min(),
            points=col("points").sum(),
        )
        .with_columns(address=address)
        .filter(col("address").is_not_null())
        .group_by("channel", "address")
        .agg(
            col("sends", "clicks", "complaints", "hard_bounces", "points").sum(),
            col("unsubscribed_at").max(),
            col("first_message_date").min(),
        )
    )


def survey_answers(answers: pl.LazyFrame) -> pl.LazyFrame:
    """Valid answers, each once."""
    number = col("answer").cast(pl.Int64, strict=False)
    is_valid = (
        when(col("question") == "nps")
        .then(number.is_between(0, 10))
        .when(col("question") == "csat")
        .then(number.is_between(1, 5))
        .otherwise(lit(True))
    )
    return (
        answers.filter(col("email").is_not_null(), is_valid.fill_null(False))
        .select("question", "answer", "responded_at", address=tidy(col("email")), number=number)
        .unique()
    )


def resolve_emails(project: shipped.Project, known: pl.LazyFrame, holders: pl.LazyFrame) -> pl.LazyFrame:
    """Which customer each usable e-mail address leads to."""
    junk = pl.any_horizontal(pl.sql_expr(f"address like '{pattern}'") for (pattern,) in project.reference["junk_emails"])
    emails = (
        known.unique()
        .filter(col("address").str.contains("^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$"), ~junk)
        .join(holders.filter(col("channel") == "email").drop("channel"), on="address", how="left")
        .collect(engine="streaming")
    )
    # Polars has no SHA-256. Only addresses that no contact has need one.
    nobodys = emails.filter(col("customer_id").is_null()).select("address")
    numbers = [f"email:{hashlib.sha256(address.encode()).hexdigest()[:20]}" for address in nobodys["address"]]
    strangers = nobodys.with_columns(customer_id=pl.Series(numbers, dtype=pl.String))
    return pl.concat([emails.drop_nulls("customer_id").select("address", "customer_id"), strangers]).lazy()


def customer_web(project: shipped.Project, visits: pl.LazyFrame, views: pl.LazyFrame, owners: pl.LazyFrame) -> list[pl.LazyFrame]:
    """What customers do on the site and in the app, and the categories they look at."""
    by_owner = {"customer_id": pl.coalesce("user_id", "owner")}
    setups = (
        visits.join(owners, on="visitor_id", how="left")
        .with_columns(**by_owner)
        .filter(col("customer_id").is_not_null())
        .group_by("customer_id", *SETUP)
        .agg(
            col("events", "product_views", "add_to_carts", "points").sum(),
            col("first_visit_date").min(),
            col("last_visit_date", "last_cart_date").max(),
        )
    )
    web = (
        setups.sort("customer_id", "events", "last_visit_date", *SETUP, nulls_last=False)
        .group_by("customer_id")
        .agg(
            *(col(name).last().alias(f"primary_{name}") for name in SETUP),
            setups=pl.len().cast(pl.Int64),
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


def customer_messages(messages: pl.LazyFrame, recipients: pl.LazyFrame) -> pl.LazyFrame:
    """How customers take e-mail and SMS."""
    of = {channel: col("channel") == channel for channel in ("email", "sms")}
    return (
        messages.join(recipients, on=["channel", "address"])
        .group_by("customer_id")
        .agg(
            *(
                only(of[channel], col(what)).sum().alias(f"{channel}_{what}")
                for channel in of
                for what in ("sends", "clicks", "complaints")
            ),
            *(only(of[channel], col("unsubscribed_at")).max().alias(f"{channel}_unsubscribed_at") for channel in of),
            first_message_date=col("first_message_date").min(),
            message_points=col("points").sum(),
        )
    )


def customer_answers(answers: pl.LazyFrame, emails: pl.LazyFrame, points: pl.LazyFrame) -> pl.LazyFrame:
    """What customers say of themselves: the latest answer to each question."""
    answers = answers.join(emails, on="address")
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
            nps=only(asked["nps"], col("number")).max(),
            csat=only(asked["csat"], col("number")).max(),
            top_need=only(asked["top_need"], col("answer")).max(),
            lifestyle=only(asked["lifestyle"], col("answer")).max(),
            interests=col("answer").filter(asked["interest"]).unique().sort().str.join(","),
        )
        .with_columns(interests=only(col("interests") != "", col("interests")))
        .join(responses, on="customer_id")
    )


def permissions(
    project: shipped.Project,
    contacts: pl.LazyFrame,
    addresses: pl.LazyFrame,
    recipients: pl.LazyFrame,
    messages: pl.LazyFrame,
    of_customers: pl.LazyFrame,
) -> pl.LazyFrame:
    """Who may be written to, by channel, and the channel to choose."""
    p = project.parameters
    reachable = (
        addresses.join(contacts.select("customer_id", last_seen_at="updated_at"), on=["customer_id", "last_seen_at"])
        .join(recipients, on=["channel", "address", "customer_id"])
        .join(messages.select("channel", "address", "hard_bounces"), on=["channel", "address"], how="left")
        .filter(col("hard_bounces").fill_null(0) == 0)
        .group_by("customer_id")
        .agg(has_email=(col("channel") == "email").any(), has_sms=(col("channel") == "sms").any())
    )

    def allowed(channel: str) -> pl.Expr:
        unsubscribed = col(f"{channel}_unsubscribed_at")
        renewed = (col(f"{channel}_consent_since") > unsubscribed).fill_null(False)
        return (
            col(f"{channel}_consent")
            & col(f"has_{channel}").fill_null(False)
            & (col(f"{channel}_complaints").fill_null(0) == 0)
            & (unsubscribed.is_null() | renewed)
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
    return (
        contacts.join(reachable, on="customer_id", how="left")
        .join(of_customers, on="customer_id", how="left")
        .with_columns(can_email=allowed("email"), can_sms=allowed("sms"), can_post=col("post_consent"))
        .select("customer_id", "can_email", "can_sms", "can_post", preferred_channel=preferred)
    )


def profile(project: shipped.Project, everybody: pl.LazyFrame, parts: list[pl.LazyFrame]) -> pl.LazyFrame:
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
        *zero("setups", "lifetime_orders"),
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
        col("preferred_channel").fill_null("none"),
    )


def assign(project: shipped.Project, customers: pl.LazyFrame) -> pl.LazyFrame:
    """Puts the customers into segments: one of each exclusive set, and every one of an overlapping set that fits."""
    members = []
    for name, segments in project.sets("exclusive").items():
        # The first that fits counts, so they are tried from the last.
        first = lit(None, pl.String)
        for segment in reversed(segments):
            first = when(pl.sql_expr(segment.when)).then(lit(segment.segment)).otherwise(first)
        members.append(customers.select("customer_id", segment_set=lit(name), segment=first))
    for name, segments in project.sets("overlapping").items():
        members.extend(
            customers.filter(pl.sql_expr(s.when)).select("customer_id", segment_set=lit(name), segment=lit(s.segment))
            for s in segments
        )
    return pl.concat(members)


def summarise(project: shipped.Project, customers: pl.LazyFrame, membership: pl.LazyFrame) -> pl.LazyFrame:
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


def main(extracts: Path, as_of: str, out: Path) -> None:
    """Runs the job."""
    project = shipped.load(as_of)
    out.mkdir(parents=True, exist_ok=True)
    sources = Sources(project, extracts)
    (points,) = collect(engagement_points(project))

    (versions,) = collect(sources.contacts())
    visits, views = web_features(sources.web(), points)
    buyers, contacts, addresses, messages, answers = collect(
        order_features(project, sources.orders(), points),
        contact_features(project, versions),
        contact_addresses(project, versions),
        message_features(sources.email(), points),
        survey_answers(sources.survey()),
    )

    logins = visits.filter(col("user_id").is_not_null())
    known = (
        pl.concat(
            [
                buyers.select("customer_id", has_ordered=lit(True)),
                contacts.select("customer_id", has_ordered=lit(False)),
                logins.select(customer_id="user_id", has_ordered=lit(False)).unique(),
            ]
        )
        .group_by("customer_id")
        .agg(col("has_ordered").any())
    )
    # Who holds an address: who gave it last, then who orders, then the smaller number.
    holders = (
        addresses.join(contacts.select("customer_id", "updated_at"), on="customer_id")
        .join(known, on="customer_id")
        .sort(
            col("last_seen_at") != col("updated_at"),
            ~col("has_ordered"),
            col("customer_id").str.len_chars(),
            "customer_id",
        )
        .group_by("channel", "address")
        .agg(col("customer_id").first())
    )
    owners = (
        logins.group_by("visitor_id")
        .agg(owner=col("user_id").min(), last=col("user_id").max())
        .filter(col("owner") == col("last"))
        .drop("last")
    )
    known, holders, owners = collect(known, holders, owners)
    of_email = col("channel") == "email"
    known_emails = [
        addresses.filter(of_email).select("address"),
        messages.filter(of_email).select("address"),
        answers.select("address"),
    ]
    emails = resolve_emails(project, pl.concat(known_emails), holders)
    recipients = pl.concat(
        [
            emails.select("address", "customer_id", channel=lit("email")),
            holders.filter(~of_email).select("address", "customer_id", "channel"),
        ]
    )

    (of_customers,) = collect(customer_messages(messages, recipients))
    everybody = pl.concat([known.select("customer_id"), emails.select("customer_id")]).unique()
    parts = [
        contacts.drop("updated_at"),
        buyers,
        *customer_web(project, visits, views, owners),
        of_customers,
        customer_answers(answers, emails, points),
        permissions(project, contacts, addresses, recipients, messages, of_customers),
    ]
    (customers,) = collect(profile(project, everybody, parts).sort(shipped.KEYS["customers"]))
    (membership,) = collect(assign(project, customers).sort(shipped.KEYS["segment_membership"]))
    (summary,) = collect(summarise(project, customers, membership).sort(shipped.KEYS["segment_summary"]))
    for table, frame in zip(shipped.KEYS, (customers, membership, summary), strict=True):
        frame.sink_parquet(out / f"{table}.parquet", compression="zstd")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
