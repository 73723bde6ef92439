"""Loads publications into a DuckDB database file.

    pip install duckdb pytz
    python load_duckdb.py segments.duckdb                           the latest day
    python load_duckdb.py segments.duckdb 2011-12-09 2011-12-10     these days

A day is one transaction: if it dies, the database is as it was. Loading a day again replaces its rows. Rows of several days stand beside
one another; the column `as_of` tells them apart. The schema `segmill` should hold nothing else.

For files in S3, first run `load httpfs` and `create secret (type s3, provider credential_chain)`.
"""

import sys

import duckdb

from publication import urls, wanted


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def load(db, day):
    """Replaces the rows of the publication's day, in one transaction. If it fails, close the connection: that rolls back."""
    as_of = day["as_of"]
    db.execute("begin")
    db.execute("create schema if not exists segmill")
    # DuckDB alters no table in which the transaction has changed rows, so this comes first.
    for table in day["tables"]:
        name, files = f"segmill.{identifier(table['table'])}", db.read_parquet(urls(table))
        db.execute(f"create table if not exists {name} (as_of date not null)")
        # A publication may have more columns than the one before. A column whose type has changed is converted, or the load fails.
        for column, kind in zip(files.columns, files.types):
            db.execute(f"alter table {name} add column if not exists {identifier(column)} {kind}")
    # A table that this publication does not have keeps nothing of the day.
    for (name,) in db.execute("select table_name from duckdb_tables() where schema_name = 'segmill'").fetchall():
        db.execute(f"delete from segmill.{identifier(name)} where as_of = ?", [as_of])
    for table in day["tables"]:
        name = f"segmill.{identifier(table['table'])}"
        db.execute(f"insert into {name} by name select ?::date as as_of, * from read_parquet(?)", [as_of, urls(table)])
    comment(db, day)
    db.execute("commit")
    print(f"{as_of}: loaded number {day['number']}")


def comment(db, day):
    """Describes the columns, by the published table of columns."""
    if any(table["table"] == "columns" for table in day["tables"]):
        described = "select table_name, column_name, description from segmill.columns where as_of = ?"
        for table, column, description in db.execute(described, [day["as_of"]]).fetchall():
            db.execute(f"comment on column segmill.{identifier(table)}.{identifier(column)} is {literal(description)}")


if __name__ == "__main__":
    path, *days = sys.argv[1:]
    with duckdb.connect(path) as db:
        for day in wanted(days):
            load(db, day)
