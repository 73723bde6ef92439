"""Loads publications into PostgreSQL. It needs no extension there: pyarrow reads the Parquet files, and COPY sends the rows.

    pip install pyarrow 'psycopg[binary]'
    export PGHOST=… PGUSER=… PGPASSWORD=… PGDATABASE=…      or a service file, or ~/.pgpass
    python load_postgres.py                                 the latest day
    python load_postgres.py 2011-12-09 2011-12-10           these days
    python load_postgres.py --withdrawn                     removes days that are loaded and no longer published

A day is one transaction. Readers see all tables of the day as they were until it commits, without waiting, and if it dies, they stay so.
Loading a publication again changes nothing, and an older publication of a day never replaces a newer one. Rows of several days stand
beside one another; the column `as_of` tells them apart. The schema SCHEMA should hold nothing else.
"""

import io
import sys

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from psycopg.sql import SQL, Identifier, Literal
from pyarrow.fs import FileSystem

from publication import publication, urls, wanted

SCHEMA = "segmill"
# Which publication of each day is loaded.
LOADS = Identifier(SCHEMA, "segmill_loads")
BATCH_ROWS = 65_536


def load(db, day):
    """Replaces the rows of the publication's day, in one transaction."""
    as_of, number = day["as_of"], day["number"]
    tables = {table["table"]: [FileSystem.from_uri(url) for url in urls(table)] for table in day["tables"]}
    for name, files in tables.items():
        prepare(db, name, schema_of(files))
    with db.transaction():
        # The row is locked until the transaction ends, so two loads of a day come one after the other.
        is_newer = db.execute(
            SQL(
                """insert into {loads} as loaded (as_of, number, run_id) values (%s, %s, %s)
                on conflict (as_of) do update set number = excluded.number, run_id = excluded.run_id, loaded_at = default
                where loaded.number < excluded.number returning true"""
            ).format(loads=LOADS),
            [as_of, number, day["run_id"]],
        ).fetchone()
        if not is_newer:
            return f"{as_of}: number {number} or a newer one is loaded already"
        clear(db, as_of)
        for name, files in tables.items():
            fill(db, as_of, name, files)
        comment(db, day)
    return f"{as_of}: loaded number {number}"


def clear(db, as_of):
    """Removes the rows of a day from every table, also from those that are no longer published."""
    for (name,) in db.execute(
        "select table_name from information_schema.columns where table_schema = %s and column_name = 'as_of' and table_name <> 'segmill_loads'",
        [SCHEMA],
    ).fetchall():
        db.execute(SQL("delete from {} where as_of = %s").format(Identifier(SCHEMA, name)), [as_of])


def prepare(db, name, schema):
    """Creates what is missing of a table. To alter one in the transaction below would make readers wait until its end."""
    table = Identifier(SCHEMA, name)
    db.execute(SQL("create table if not exists {} (as_of date not null)").format(table))
    known = db.execute("select column_name from information_schema.columns where table_schema = %s and table_name = %s", [SCHEMA, name]).fetchall()
    # A publication may have more columns than the one before. A column whose type has changed is refused by the insert.
    for field in schema:
        if (field.name,) not in known:
            db.execute(SQL("alter table {} add column if not exists {}").format(table, typed(field)))
    db.execute(SQL("create index if not exists {} on {} (as_of)").format(Identifier(f"{name}_as_of"), table))


def fill(db, as_of, name, files):
    """Copies the files of a table into a staging table, and from there into the table."""
    schema = schema_of(files)
    names = {"table": Identifier(SCHEMA, name), "columns": SQL(", ").join(map(Identifier, schema.names))}
    db.execute(SQL("create temporary table staging ({})").format(SQL(", ").join(map(typed, schema))))
    with db.cursor().copy(SQL("copy staging ({columns}) from stdin (format csv)").format(**names)) as copy:
        for filesystem, path in files:
            with filesystem.open_input_file(path) as file:
                for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
                    copy.write(as_csv(batch))
    db.execute(SQL("insert into {table} (as_of, {columns}) select %s, {columns} from staging").format(**names), [as_of])
    db.execute("drop table staging")


def schema_of(files):
    filesystem, path = files[0]
    return pq.read_schema(path, filesystem=filesystem)


def typed(field):
    """The name of a column and its type."""
    return SQL("{} {}").format(Identifier(field.name), SQL(type_of(field.type)))


def type_of(kind):
    """The type in PostgreSQL of a type in Parquet, which holds the same values."""
    if pa.types.is_list(kind):
        return type_of(kind.value_type) + "[]"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return {"string": "text", "int64": "bigint", "int32": "integer", "double": "double precision", "bool": "boolean", "date32[day]": "date"}[
        str(kind)
    ]


def as_csv(batch):
    """The rows as PostgreSQL reads CSV: a null is nothing, and an empty text is a pair of quotes."""
    columns = [arrays(column) if pa.types.is_list(column.type) else column for column in batch]
    text = io.BytesIO()
    pa.csv.write_csv(pa.record_batch(columns, batch.schema.names), text, pa.csv.WriteOptions(include_header=False))
    return text.getvalue()


def arrays(lists):
    """Lists as PostgreSQL writes arrays."""

    def written(value):
        if value is None:
            return "null"
        if isinstance(value, list):
            return "{" + ",".join(map(written, value)) + "}"
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'

    return pa.array([None if value is None else written(value) for value in lists.to_pylist()], pa.string())


def comment(db, day):
    """Describes the columns, by the published table of columns."""
    if not any(table["table"] == "columns" for table in day["tables"]):
        return
    described = SQL("select table_name, column_name, description from {} where as_of = %s").format(Identifier(SCHEMA, "columns"))
    for table, column, description in db.execute(described, [day["as_of"]]).fetchall():
        db.execute(SQL("comment on column {} is {}").format(Identifier(SCHEMA, table, column), Literal(description)))


def remove_withdrawn(db):
    """Removes the rows of days that are loaded and no longer published."""
    for (as_of,) in db.execute(SQL("select as_of from {} order by as_of").format(LOADS)).fetchall():
        if publication(str(as_of)) is None:
            with db.transaction():
                db.execute(SQL("delete from {} where as_of = %s").format(LOADS), [as_of])
                clear(db, as_of)
            print(f"{as_of}: removed, because it was withdrawn")


if __name__ == "__main__":
    with psycopg.connect(autocommit=True) as db:
        db.execute(SQL("create schema if not exists {}").format(Identifier(SCHEMA)))
        db.execute(
            SQL(
                "create table if not exists {} (as_of date primary key, number bigint not null, run_id text not null, "
                "loaded_at timestamptz not null default now())"
            ).format(LOADS)
        )
        if sys.argv[1:] == ["--withdrawn"]:
            remove_withdrawn(db)
        else:
            for day in wanted(sys.argv[1:]):
                print(load(db, day))
