"""Small random tables, and the project that reads them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

AS_OF = "2025-06-01"
LOADED_ON = datetime.date(2020, 1, 1)

# The columns of every table: their names, the kinds of their values in the grammar, and their types in the contract and in Parquet.
COLUMNS = [
    ("id", "int", "{type: integer, required: true}", pa.int64()),
    ("k", "int", "integer", pa.int64()),
    ("n", "int", "integer", pa.int64()),
    ("d", "dec", "decimal(12,2)", pa.decimal128(12, 2)),
    ("e", "dec", "decimal(9,3)", pa.decimal128(9, 3)),
    ("s", "text", "string", pa.string()),
    ("t", "text", "string", pa.string()),
    ("day", "day", "date", pa.date32()),
    ("since", "moment", "timestamp", pa.timestamp("us")),
    ("b", "bool", "boolean", pa.bool_()),
]
# The tables, and how many rows they have at least and at most.
TABLES = {"a": (6, 14), "b": (3, 8), "c": (2, 5), "one": (1, 1), "empty": (0, 0)}
# The tables whose contract says that `id` is their key.
KEYED = ["b", "c"]

TEXTS = ["", "a", "b", "A", "ab", "ba", "aab", "x ", " x", "10", "9", "ż", "Éa", "a%b"]
DAYS = ["2024-01-31", "2024-02-28", "2024-02-29", "2024-03-01", "2024-12-31", "2025-01-01"]
MOMENTS = [
    "2024-01-31 00:00:00",
    "2024-02-29 00:00:00",
    "2024-02-29 12:00:00",
    "2024-12-31 23:59:59.999999",
    "2025-01-01 00:00:00",
    "2025-01-01 00:00:00.5",
]


def tables(random: Random) -> dict[str, list[tuple]]:
    """The rows of all tables."""
    made = {}
    for name, (least, most) in TABLES.items():
        nulls = random.choice([0, 0.1, 0.3])
        rows = [_row(random, number, nulls) for number in range(1, random.randint(least, most) + 1)]
        made[name] = rows
    return made


def _row(random: Random, number: int, nulls: float) -> tuple:
    values = (
        random.randint(0, 4),
        random.choice([-3, -1, 0, 1, 2, 3, 10, 100]),
        Decimal(random.choice([-225, -100, 0, 1, 100, 150, 200, 1050])).scaleb(-2),
        Decimal(random.choice([-2250, -1000, 0, 5, 1000, 1500, 2005])).scaleb(-3),
        random.choice(TEXTS[:6]),
        random.choice(TEXTS),
        datetime.date.fromisoformat(random.choice(DAYS)),
        datetime.datetime.fromisoformat(random.choice(MOMENTS)),
        random.random() < 0.5,
    )
    return (number, *(None if random.random() < nulls else value for value in values))


def write(folder: Path, rows: dict[str, list[tuple]]) -> None:
    """Writes a project whose sources are the tables."""
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    (folder / "extracts").mkdir(exist_ok=True)
    (folder / "sql").mkdir(exist_ok=True)
    (folder / "pipelines/random.yaml").write_text(_pipeline(), encoding="utf-8")
    (folder / "sql/made.sql").write_text("-- A model, because a project has one.\nselect id from sources.a\n", encoding="utf-8")
    for name in TABLES:
        pq.write_table(arrow(rows[name]), folder / f"extracts/{name}.parquet")


def arrow(rows: list[tuple]) -> pa.Table:
    columns = {name: pa.array([row[at] for row in rows], type_) for at, (name, _, _, type_) in enumerate(COLUMNS)}
    return pa.table({"loaded_on": pa.array([LOADED_ON] * len(rows), pa.date32()), **columns})


def _pipeline() -> str:
    lines = ["version: 1", "name: random", "sources:"]
    for name in TABLES:
        lines += [f"  {name}:", f"    location: extracts/{name}.parquet", "    event_time: loaded_on"]
        lines += ["    key: [id]", "    columns:"] if name in KEYED else ["    columns:"]
        lines += ["      loaded_on: {type: date, required: true}"]
        lines += [f"      {column}: {type_}" for column, _, type_, _ in COLUMNS]
    lines += ["outputs:", "  destination: out", "  tables:", "    made: {model: made, sort: [id]}"]
    return "\n".join(lines) + "\n"
