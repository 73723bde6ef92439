"""Prints the SQL that loads publications into Snowflake, BigQuery, Redshift or Databricks, from the object store where they are.

    pip install pyarrow
    python load_sql.py snowflake 2011-12-10 > load.sql && snow sql --filename load.sql      with STAGE=@segmill_stage
    python load_sql.py bigquery 2011-12-10 > load.sql && bq query --use_legacy_sql=false < load.sql
    python load_sql.py redshift 2011-12-10 > load.sql && psql -v ON_ERROR_STOP=1 -f load.sql with IAM_ROLE=arn:… (or `default`)
    python load_sql.py databricks 2011-12-10 > load.sql && dbsqlcli -e load.sql

Without a day it is the latest one. The tables are in the schema or dataset `segmill`, which must exist. STAGE is an external stage on the
destination's folder, and IAM_ROLE may read it. The folder `sql` has what this prints for two tables of the sample.

Files are named by the commit or its load manifest; no folder is listed. First they are copied into staging tables, where a failure leaves
everything as it was. Then one transaction replaces the rows of the day in all tables; in Databricks, which has no transactions over several
tables, one statement a table. So loading a day again replaces its rows. Rows of several days stand beside one another; the column `as_of`
tells them apart. If a publication has a column that the table does not have, the load fails until you add it.
"""

import os
import sys
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from publication import urls, wanted

# What holds the values of a type in Parquet: string, int64, double, bool, date, timestamp with a zone, timestamp without, decimal, list.
TYPES = {
    "snowflake": "varchar|number(19, 0)|float|boolean|date|timestamp_ltz|timestamp_ntz|number({p}, {s})|array",
    "bigquery": "string|int64|float64|bool|date|timestamp|datetime|numeric({p}, {s})|array<{of}>",
    "redshift": "varchar(65535)|bigint|double precision|boolean|date|timestamp|timestamp|decimal({p}, {s})|super",
    "databricks": "string|bigint|double|boolean|date|timestamp|timestamp_ntz|decimal({p}, {s})|array<{of}>",
}


def type_of(dialect, kind):
    """The type of a column in the dialect."""
    text, whole, double, boolean, day, moment, local, decimal, listed = TYPES[dialect].split("|")
    if pa.types.is_list(kind):
        return listed.format(of=type_of(dialect, kind.value_type))
    if pa.types.is_decimal(kind):
        return decimal.format(p=kind.precision, s=kind.scale)
    if pa.types.is_timestamp(kind):
        return moment if kind.tz else local
    return {"string": text, "int64": whole, "int32": whole, "double": double, "bool": boolean, "date32[day]": day}[str(kind)]


def identifier(dialect, name):
    """A quoted name. Snowflake's are in upper case, so that queries need no quotes."""
    if dialect in ("bigquery", "databricks"):
        return "`" + name.replace("`", "``" if dialect == "databricks" else "\\`") + "`"
    return '"' + (name.upper() if dialect == "snowflake" else name).replace('"', '""') + '"'


def literal(dialect, text):
    """A text in quotes. A backslash escapes in all four dialects."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return "'" + text.replace("'", "''" if dialect in ("snowflake", "redshift") else "\\'") + "'"


class Table:
    """A table of the publication, in the words of a dialect."""

    def __init__(self, dialect, day, table, comments):
        schema, segmill = read_schema(urls(table)[0]), identifier(dialect, "segmill")
        self.day = f"date '{date.fromisoformat(day['as_of'])}'"
        self.files, self.manifest = urls(table), table["redshift_manifest"]
        self.name = f"{segmill}.{identifier(dialect, table['table'])}"
        self.staging = f"{segmill}.{identifier(dialect, table['table'] + '_staging')}"
        self.types = {identifier(dialect, field.name): type_of(dialect, field.type) for field in schema}
        self.comments = {identifier(dialect, name): comments[table["table"], name] for name in schema.names if comments.get((table["table"], name))}
        self.columns = ", ".join(self.types)
        self.swap = (
            f"delete from {self.name} where as_of = {self.day};\n"
            f"insert into {self.name} (as_of, {self.columns})\nselect {self.day}, {self.columns} from {self.staging};"
        )

    def create(self, comment=None, rest=""):
        """Creates the table with its columns, their types and what describes them."""
        described = {name: comment(text) for name, text in self.comments.items()} if comment else {}
        columns = "".join(f",\n    {name} {kind}{described.get(name, '')}" for name, kind in self.types.items())
        return f"create table if not exists {self.name} (\n    as_of date not null{columns}\n){rest};"

    def create_staging(self, create):
        """Creates the staging table, with the columns of the files."""
        return f"{create} {self.staging} (\n" + ",\n".join(f"    {name} {kind}" for name, kind in self.types.items()) + "\n)"


def snowflake(tables):
    def comment(text):
        return f" comment {literal('snowflake', text)}"

    for table in tables:
        # Names in a stage are relative to its folder, which is the destination's.
        names = ", ".join(literal("snowflake", "runs/" + url.rpartition("/runs/")[2]) for url in table.files)
        yield table.create(comment, " cluster by (as_of)")
        yield table.create_staging("create or replace temporary table") + ";"
        # Only with logical types is a decimal no float, and a moment one in UTC.
        yield (
            f"copy into {table.staging} from {os.environ['STAGE']}\n"
            f"    files = ({names})\n"
            "    file_format = (type = parquet use_logical_type = true)\n"
            "    match_by_column_name = case_insensitive\n"
            "    on_error = abort_statement;"
        )
    yield "begin;"
    yield from (table.swap for table in tables)
    yield "commit;"


def bigquery(tables):
    def comment(text):
        return f" options (description = {literal('bigquery', text)})"

    for table in tables:
        uris = ", ".join(literal("bigquery", url) for url in table.files)
        yield table.create(comment, " partition by as_of")
        # Without list inference an array would be a struct of structs.
        yield (
            table.create_staging("load data overwrite") + "\n"
            f"from files (format = 'PARQUET', enable_list_inference = true, uris = [{uris}]);"
        )
    yield "begin transaction;"
    yield from (table.swap for table in tables)
    yield "commit transaction;"
    yield from (f"drop table {table.staging};" for table in tables)


def redshift(tables):
    role = os.environ.get("IAM_ROLE", "default")
    role = role if role == "default" else literal("redshift", role)
    for table in tables:
        if table.manifest is None:
            sys.exit("Redshift loads from S3; this destination has no manifests for it")
        yield table.create(rest=" sortkey (as_of)")
        yield from (f"comment on column {table.name}.{name} is {literal('redshift', text)};" for name, text in table.comments.items())
        yield f"drop table if exists {table.staging};"
        yield table.create_staging("create table") + ";"
        lists = " serializetojson" if "super" in table.types.values() else ""
        yield f"copy {table.staging} from {literal('redshift', table.manifest)}\niam_role {role} format as parquet manifest{lists};"
    yield "begin;"
    yield from (table.swap for table in tables)
    yield "commit;"
    yield from (f"drop table {table.staging};" for table in tables)


def databricks(tables):
    def comment(text):
        return f" comment {literal('databricks', text)}"

    for table in tables:
        files = [f"select {table.day} as as_of, {table.columns} from parquet.{identifier('databricks', url)}" for url in table.files]
        yield table.create(comment, " cluster by (as_of)")
        yield f"insert into {table.name} by name replace where as_of = {table.day}\n" + "\nunion all\n".join(files) + ";"


def read_schema(url):
    filesystem, path = FileSystem.from_uri(url)
    return pq.read_schema(path, filesystem=filesystem)


def descriptions(day):
    """What the published table of columns says of each column."""
    found = {}
    for url in [url for table in day["tables"] if table["table"] == "columns" for url in urls(table)]:
        filesystem, path = FileSystem.from_uri(url)
        for row in pq.read_table(path, filesystem=filesystem, partitioning=None).to_pylist():
            found[row["table_name"], row["column_name"]] = row["description"]
    return found


def statements(dialect, day, only=()):
    """The statements that load a publication."""
    comments = descriptions(day)
    return globals()[dialect]([Table(dialect, day, table, comments) for table in day["tables"] if not only or table["table"] in only])


if __name__ == "__main__":
    dialect, *days = sys.argv[1:]
    if dialect not in TYPES:
        sys.exit(f"{dialect}: it is none of {', '.join(TYPES)}")
    for day in wanted(days):
        print(f"-- {day['as_of']}, number {day['number']}, run {day['run_id']}")
        print(*statements(dialect, day), sep="\n\n")
