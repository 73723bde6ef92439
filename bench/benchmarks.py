"""The projects that are measured: what computes each, what is compared, and what is left out."""

from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Benchmark:
    """A project that Segmill, DuckDB and Polars compute, each in its own way."""

    name: str
    title: str
    pipeline: Path
    # The modules that compute it, by the library that they are written for.
    jobs: dict[str, str]
    # The tables that are compared, and the columns that each is sorted by and has one row for.
    tables: dict[str, list[str]]
    # The columns that only Segmill computes. The segments whose rules read them are left out, too.
    left_out: tuple[str, ...] = ()
    # The keys that sources of events have beside what the pipeline file says. Their extracts have events that were delivered twice.
    event_keys: dict[str, list[str]] = field(default_factory=dict)


SHIPPED = Benchmark(
    name="shipped",
    title="Shipped project",
    pipeline=BENCH.parent / "pipelines" / "customer_segments.yaml",
    jobs={"duckdb": "duckdb_job", "polars": "polars_job"},
    tables={
        "customers": ["customer_id"],
        "segment_membership": ["segment_set", "segment", "customer_id"],
        "segment_summary": ["segment_set", "segment"],
    },
    # Predicted or found natively.
    left_out=(
        "p_alive",
        "expected_orders_90d",
        "expected_orders_365d",
        "expected_average_order_value",
        "lifetime_value",
        "lifetime_value_decile",
        "lifetime_value_share",
        "buying_cluster",
        "similarity_to_champions",
        "next_best_product",
        "traits",
    ),
)

ORDINARY = Benchmark(
    name="ordinary",
    title="Ordinary project",
    pipeline=BENCH / "ordinary" / "pipelines" / "ordinary.yaml",
    jobs={"duckdb": "ordinary.duckdb_job", "polars": "ordinary.polars_job"},
    tables={
        "customers": ["customer_id"],
        "segment_membership": ["segment_set", "segment", "customer_id"],
    },
)

# Invoice lines have no number, and an invoice may name a product twice, so orders have no key.
ORDINARY_KEYED = Benchmark(
    name="ordinary-keyed",
    title="Ordinary project with keys of events",
    pipeline=ORDINARY.pipeline,
    jobs=ORDINARY.jobs,
    tables=ORDINARY.tables,
    event_keys={"web": ["event_id"], "email": ["event_id"]},
)

BENCHMARKS = {benchmark.name: benchmark for benchmark in (SHIPPED, ORDINARY, ORDINARY_KEYED)}
