"""What the jobs for Polars share: expressions, contracts, segments and outputs."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from polars import col, lit, when

from project import Project

MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def collect(*frames: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Computes frames that are read more than once, together, so that they share what they read."""
    return [frame.lazy() for frame in pl.collect_all(list(frames), engine="streaming")]


def count(condition: pl.Expr) -> pl.Expr:
    """How many rows of a group meet a condition."""
    return condition.sum().cast(pl.Int64)


def only(condition: pl.Expr, value: pl.Expr) -> pl.Expr:
    """A value where a condition holds, null elsewhere: cheaper to aggregate than a filter inside a group."""
    return when(condition).then(value)


def tidy(email: pl.Expr) -> pl.Expr:
    """An e-mail address as it is compared."""
    return email.str.strip_chars(" ").str.to_lowercase()


def hashed(addresses: pl.Series) -> pl.Series:
    """The ids that hide e-mail addresses. Polars has no SHA-256."""
    ids = [f"email:{hashlib.sha256(address.encode()).hexdigest()[:20]}" for address in addresses]
    return pl.Series(ids, dtype=pl.String)


def parsed_moment(column: str) -> pl.Expr:
    """A column of text as moments; null where it does not parse."""
    return col(column).str.to_datetime(MOMENT, time_zone="UTC", time_unit="us", strict=False)


def before(project: Project, column: str) -> pl.Expr:
    """Whether something happened before the as-of day."""
    return col(column) < datetime.combine(project.as_of, datetime.min.time(), UTC)


def holds(project: Project, source: str) -> pl.Expr:
    """Whether a row has what its contract requires, and nothing it does not accept."""
    required = [col(name).is_not_null() for name in project.required(source)]
    accepted = [col(name).is_null() | col(name).is_in(values) for name, values in project.accepted(source).items()]
    return pl.all_horizontal(*required, *accepted)


def order_lines(project: Project, extracts: Path) -> pl.LazyFrame:
    """Invoice lines; prices are in thousandths."""
    lines = pl.scan_parquet(extracts / "orders" / "*.parquet").select(
        order_id="InvoiceNo",
        product_code="StockCode",
        quantity=col("Quantity").cast(pl.Int64),
        ordered_at="InvoiceDate",
        unit_price=(col("UnitPrice") * 1000).round().cast(pl.Int64),
        customer_id="CustomerID",
        country=col("Country").replace("Unspecified", None),
    )
    as_of = datetime.combine(project.as_of, datetime.min.time())
    return lines.filter(col("ordered_at") < as_of, holds(project, "orders"))


def decimal(units: pl.Expr, precision: int, scale: int) -> pl.Expr:
    """A whole number of smallest units as a decimal."""
    return (units.cast(pl.Decimal(38, scale)) / lit(10**scale).cast(pl.Decimal(38, scale))).cast(pl.Decimal(precision, scale))


def assign(project: Project, customers: pl.LazyFrame) -> pl.LazyFrame:
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


def write(frames: dict[str, pl.LazyFrame], out: Path) -> None:
    """Writes tables."""
    out.mkdir(parents=True, exist_ok=True)
    for table, frame in frames.items():
        frame.sink_parquet(out / f"{table}.parquet", compression="zstd")
