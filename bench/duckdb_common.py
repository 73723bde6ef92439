"""What the jobs for DuckDB share: contracts, segments and outputs."""

from pathlib import Path

import duckdb

from project import Project


def text(value: object) -> str:
    """A text literal."""
    return "'" + str(value).replace("'", "''") + "'"


def contract(project: Project, source: str) -> str:
    """The condition that a row of a source meets to be kept."""
    conditions = [f"{name} is not null" for name in project.required(source)]
    for name, values in project.accepted(source).items():
        conditions.append(f"({name} is null or {name} in ({', '.join(map(text, values))}))")
    return " and ".join(conditions)


def assign(db: duckdb.DuckDBPyConnection, project: Project) -> None:
    """Puts the customers into segments: one of each exclusive set, and every one of an overlapping set that fits."""
    queries = []
    for name, segments in project.sets("exclusive").items():
        cases = " ".join(f"when {s.when} then {text(s.segment)}" for s in segments)
        queries.append(f"select customer_id, {text(name)} as segment_set, case {cases} end as segment from customers")
    for name, segments in project.sets("overlapping").items():
        queries.extend(
            f"select customer_id, {text(name)} as segment_set, {text(s.segment)} as segment from customers where {s.when}"
            for s in segments
        )
    db.execute(f"create temp table segment_membership as {' union all '.join(queries)}")


def write(db: duckdb.DuckDBPyConnection, tables: dict[str, list[str]], out: Path) -> None:
    """Writes tables, each in the order of its key."""
    out.mkdir(parents=True, exist_ok=True)
    for table, key in tables.items():
        file = text(out / f"{table}.parquet")
        db.execute(f"copy (from {table} order by {', '.join(key)}) to {file} (format parquet, compression zstd)")
