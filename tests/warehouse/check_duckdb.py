"""Runs load_duckdb.py, also with an insert that fails."""

import duckdb

import support
from support import DAY, EARLIER, FOLDER, at, compare, run

PATH = FOLDER / "segments.duckdb"
TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
    "decimal128": "DECIMAL(…",
    "list": "{}[]",
}


def ask(query, *values):
    # No connection stays open: only one process at a time may write.
    with duckdb.connect(PATH) as db:
        return db.execute(query, values).fetchall()


def holds(day):
    def found(table, columns, day):
        names = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        return db.execute(f'select {names} from segmill."{table}" where as_of = ?::date', [day]).to_arrow_table()

    with duckdb.connect(PATH) as db:
        db.execute("set timezone = 'UTC'")
        compare("duckdb", day, support.by_pyarrow, found)


def count(table, day):
    return ask(f"select count(*) from segmill.{table} where as_of = ?::date", day)[0][0]


def load(*days, fails=False):
    return run("load_duckdb.py", str(PATH), *days, fails=fails)


PATH.unlink(missing_ok=True)
at("first")
load(EARLIER, DAY)
load(DAY)
holds(EARLIER), holds(DAY)
kinds, comments = {}, {}
for table, column, kind, comment in ask("select table_name, column_name, data_type, comment from duckdb_columns() where schema_name = 'segmill'"):
    kinds.setdefault(table, {})[column] = kind
    comments.setdefault(table, {})[column] = comment
support.check_types("duckdb", DAY, TYPES, kinds)
support.check_comments("duckdb", DAY, comments)

# A load that fails in the middle leaves the old day: the last table has lost a column's type.
ask("alter table segmill.segment_traits alter column kind set data type integer using null")
at("again")
assert "Conversion Error" in load(DAY, fails=True)
at("first")
assert count("segment_traits", DAY) > 0 and count("buying_clusters", DAY) > 0
ask("alter table segmill.segment_traits alter column kind set data type varchar")
load(EARLIER, DAY)
holds(EARLIER), holds(DAY)

# A day that was published again replaces its old rows.
at("again")
load(DAY)
holds(DAY), holds(EARLIER)
assert count("buying_clusters", DAY) == 0 < count("buying_clusters", EARLIER)
