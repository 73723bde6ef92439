"""The projects that are measured: what computes each, what is compared, and what is left out."""

from dataclasses import dataclass
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

BENCHMARKS = {benchmark.name: benchmark for benchmark in (SHIPPED, ORDINARY)}
