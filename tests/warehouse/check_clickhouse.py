"""Runs load_clickhouse.py in chdb."""

import shutil
import subprocess
import sys

import support
from support import DAY, EARLIER, FOLDER, at, by_pyarrow, check_comments, check_types, compare, run

PATH = FOLDER / "clickhouse"
TYPES = {
    "string": "Nullable(String)",
    "int64": "Nullable(Int64)",
    "double": "Nullable(Float64)",
    "bool": "Nullable(Bool)",
    "date32[day]": "Nullable(Date32)",
    "timestamp[us, tz=UTC]": "Nullable(DateTime64(6, 'UTC'))",
    "decimal128": "Nullable(Decimal(…)",
    "list": "Array({})",
}
# The folder is closed when a process ends, so each look is a process of its own.
LOOK = """
import json, sys
from chdb.session import Session
session = Session(sys.argv[1])
for query in sys.stdin.read().splitlines():
    query, _, path = query.partition("\\t")
    open(path, "wb").write(session.query(query, "Parquet").bytes())
"""


def look(*queries):
    """The answers to queries, as Arrow tables."""
    paths = [FOLDER / f"answer-{number}.parquet" for number in range(len(queries))]
    asked = "\n".join(f"{query}\t{path}" for query, path in zip(queries, paths))
    subprocess.run([sys.executable, "-c", LOOK, PATH], input=asked, text=True, check=True)
    by_pyarrow.cache_clear()
    return [by_pyarrow(path) for path in paths]


def holds(day):
    def quoted(column):
        return "`" + column.replace("`", "\\`") + "`"

    asked = {
        name: f"select {', '.join(map(quoted, by_pyarrow(*files).column_names))} from segmill.{name} where as_of = '{day}'"
        for name, files in support.published(day).items()
    }
    answers = dict(zip(asked, look(*asked.values())))

    def expected(*files):
        # ClickHouse has no null lists: they are empty.
        table = by_pyarrow(*files)
        for at, field in enumerate(table.schema):
            if str(field.type).startswith("list"):
                lists = [values or [] for values in table[field.name].to_pylist()]
                table = table.set_column(at, field, support.pa.array(lists, field.type))
        return table

    compare("clickhouse", day, expected, lambda table, columns, day: answers[table])


def load(*days):
    run("load_clickhouse.py", str(PATH), *days)


shutil.rmtree(PATH, ignore_errors=True)
at("first")
load(EARLIER, DAY)
load(DAY)
holds(EARLIER), holds(DAY)
kinds, comments = {}, {}
(described,) = look("select table, name, type, comment from system.columns where database = 'segmill'")
for row in described.to_pylist():
    table, column, kind, comment = row.values()
    kinds.setdefault(table, {})[column] = kind
    comments.setdefault(table, {})[column] = comment
check_types("clickhouse", DAY, TYPES, kinds)
check_comments("clickhouse", DAY, comments)

# A day that was published again replaces its old rows, and empties a table that it does not have.
at("again")
load(DAY)
holds(DAY), holds(EARLIER)
(counts,) = look("select toString(as_of) as as_of, count() as rows from segmill.buying_clusters group by as_of")
assert [row["as_of"] for row in counts.to_pylist()] == [EARLIER], counts
