"""Loads publications into ClickHouse, here in chdb, which is ClickHouse inside Python with its tables in a folder.

    pip install chdb
    python load_clickhouse.py FOLDER                                the latest day
    python load_clickhouse.py FOLDER 2011-12-09 2011-12-10          these days

For a server, send the same statements with `clickhouse-connect`, whose `client.query` takes the place of `session.query`, and read the
files with `s3(…)` or `gcs(…)` instead of `file(…)`.

Each day is a partition of each table. A table's partition is replaced at once, so readers see the old rows or the new ones, and if the
load dies, running it again completes it. There is no transaction over several tables. Rows of several days stand beside one another; the
column `as_of` tells them apart.
"""

import json
import sys

from chdb.session import Session

from publication import urls, wanted


def identifier(name):
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def rows(session, query):
    return json.loads(str(session.query(query, "JSONCompact")))["data"]


def load(session, day):
    """Replaces the partition of the publication's day in each table."""
    session.query("create database if not exists segmill")
    as_of = literal(day["as_of"])
    for table in day["tables"]:
        replace(session, as_of, table)
    # A table that this publication does not have keeps nothing of the day.
    published = {table["table"] for table in day["tables"]}
    for (name,) in rows(session, "select name from system.tables where database = 'segmill' and name not like '% staging'"):
        if name not in published:
            session.query(f"alter table segmill.{identifier(name)} drop partition {as_of}")
    comment(session, day)
    print(f"{day['as_of']}: loaded number {day['number']}")


def replace(session, as_of, table):
    """Inserts the files into a staging table, and replaces the partition of the day by its partition."""
    name, staging = f"segmill.{identifier(table['table'])}", f"segmill.{identifier(table['table'] + ' staging')}"
    files = [f"file({literal(url.removeprefix('file://'))}, Parquet)" for url in urls(table)]
    # A column that never was null until now may be null tomorrow, so every column may be.
    nullable = "settings schema_inference_make_columns_nullable = 1"
    columns = [(identifier(column), kind) for column, kind, *_ in rows(session, f"describe {files[0]} {nullable}")]
    names = ", ".join(column for column, _ in columns)
    session.query(f"create table if not exists {name} (as_of Date) engine = MergeTree partition by as_of order by as_of")
    # A publication may have more columns than the one before. A column whose type has changed is converted, or the load fails.
    for column, kind in columns:
        session.query(f"alter table {name} add column if not exists {column} {kind}")
    session.query(f"drop table if exists {staging}")
    session.query(f"create table {staging} as {name}")
    for file in files:
        session.query(f"insert into {staging} (as_of, {names}) select toDate({as_of}), {names} from {file} {nullable}")
    # A partition cannot be replaced by none.
    session.query(f"alter table {name} " + (f"replace partition {as_of} from {staging}" if table["rows"] else f"drop partition {as_of}"))
    session.query(f"drop table {staging}")


def comment(session, day):
    """Describes the columns, by the published table of columns."""
    if not any(table["table"] == "columns" for table in day["tables"]):
        return
    described = "select table_name, column_name, description from segmill.columns where description is not null and as_of = "
    comments = {}
    for table, column, description in rows(session, described + literal(day["as_of"])):
        comments.setdefault(table, []).append(f"comment column {identifier(column)} {literal(description)}")
    for table, changes in comments.items():
        session.query(f"alter table segmill.{identifier(table)} {', '.join(changes)}")


if __name__ == "__main__":
    folder, *days = sys.argv[1:]
    session = Session(folder)
    for day in wanted(days):
        load(session, day)
