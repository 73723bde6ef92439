"""Reads what load_sql.py prints with a parser of each dialect: sqlglot, and sqlfluff where it knows the statements.

With SEGMILL_BLESS=1 it writes examples/warehouse/sql anew.
"""

import os
import re
import subprocess
import sys

import sqlglot
from sqlglot import exp

import support
from support import DAY, EXAMPLES, FOLDER, at, by_pyarrow, published

import load_sql
from publication import publication

BUCKETS = {"bigquery": "gs://shop-segments", "snowflake": "s3://shop-segments", "redshift": "s3://shop-segments", "databricks": "s3://shop-segments"}
RUN = {
    "snowflake": "snow sql --filename",
    "bigquery": "bq query --use_legacy_sql=false <",
    "redshift": "psql -v ON_ERROR_STOP=1 -f",
    "databricks": "dbsqlcli -e",
}
SHOWN = ["segment_membership", "segment_summary", "identity_conflicts"]
TYPES = {
    "snowflake": {
        "string": "VARCHAR",
        "int64": "DECIMAL(19, 0)",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "TIMESTAMPLTZ",
        "decimal128": "DECIMAL(…",
        "list": "ARRAY",
    },
    "bigquery": {
        "string": "STRING",
        "int64": "INT64",
        "double": "FLOAT64",
        "bool": "BOOL",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "TIMESTAMP",
        "decimal128": "NUMERIC(…",
        "list": "ARRAY<{}>",
    },
    "redshift": {
        "string": "VARCHAR(65535)",
        "int64": "BIGINT",
        "double": "DOUBLE PRECISION",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "TIMESTAMP",
        "decimal128": "DECIMAL(…",
        "list": "SUPER",
    },
    "databricks": {
        "string": "STRING",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "TIMESTAMP",
        "decimal128": "DECIMAL(…",
        "list": "ARRAY<{}>",
    },
}


def printed(dialect, only=()):
    """What the example prints if the destination is a bucket."""
    day = publication(DAY)
    for table in day["tables"]:
        table["redshift_manifest"] = table["url_list"].replace(".urls.txt", ".manifest")
    local = (FOLDER / "first").as_uri()
    return "\n\n".join(load_sql.statements(dialect, day, only)).replace(local, f"{BUCKETS[dialect]}/segments") + "\n"


def parsed(dialect, text):
    """The statements; a statement that sqlglot does not know is a `Command` to it."""
    found = [statement for statement in sqlglot.parse(text, read=dialect) if statement]
    for statement in found:
        if isinstance(statement, exp.Command) and not re.match(r"(?i)begin|commit", statement.sql()):
            sys.exit(f"{dialect}: sqlglot does not know the statement {statement.sql()[:300]}")
    return found


def described(statement):
    """The comments of a table's columns, as the parser reads them."""
    for column in statement.find_all(exp.ColumnDef):
        for constraint in column.args["constraints"] or []:
            if isinstance(constraint.kind, exp.CommentColumnConstraint):
                yield column.name, constraint.kind.this.this
            elif isinstance(constraint.kind, exp.Properties):
                yield column.name, constraint.kind.expressions[0].args["value"].this


at("first")
os.environ |= {"STAGE": "@segmill_stage", "IAM_ROLE": "arn:aws:iam::123456789012:role/warehouse"}
columns = {name: {field.name: field.type for field in by_pyarrow(*files).schema} for name, files in published(DAY).items()}
for dialect in TYPES:
    upper = str.upper if dialect == "snowflake" else str
    text = printed(dialect)
    statements = parsed(dialect, text)
    tables = {upper(name): {upper(column): column for column in of} for name, of in columns.items()}
    kinds, comments = {}, {name: {} for name in columns}
    for statement in statements:
        if isinstance(statement, exp.Create) and not statement.find(exp.Table).name.lower().endswith("_staging"):
            table = statement.find(exp.Table).name
            (name,) = [name for name in columns if upper(name) == table]
            found = {column.name: column.args["kind"].sql(dialect) for column in statement.find_all(exp.ColumnDef)}
            assert found.pop("as_of") == "DATE", table
            kinds[name] = {tables[table][column]: kind for column, kind in found.items()}
            comments[name] |= {tables[table][column]: comment for column, comment in described(statement)}
        if isinstance(statement, exp.Comment):
            comments[statement.this.table][statement.this.name] = statement.expression.this
    support.check_types(dialect, DAY, TYPES[dialect], kinds)
    support.check_comments(dialect, DAY, comments)

    # It loads each file of the commit, once, and no folder; all that replaces rows is one transaction, or one statement a table.
    run = re.search(r"runs/([^/]+)/", text)[1]
    wanted = [f"runs/{run}/load/{name}.manifest" if dialect == "redshift" else f"runs/{run}/{name}.parquet" for name in columns]
    assert sorted(re.findall(r"runs/[^'`]+", text)) == sorted(wanted), dialect
    kind = {exp.Delete: "delete", exp.Insert: "insert", exp.Copy: "load", exp.LoadData: "load", exp.Transaction: "begin", exp.Commit: "commit"}
    order = [kind[type(statement)] for statement in statements if type(statement) in kind]
    swaps = ["delete", "insert"] * len(columns)
    meant = ["insert"] * len(columns) if dialect == "databricks" else ["load"] * len(columns) + ["begin", *swaps, "commit"]
    assert order == meant, (dialect, order)
    print(f"{dialect}: sqlglot reads {len(statements)} statements")

    # The files beside the example show what it prints for three tables.
    shown = printed(dialect, SHOWN).replace(run, "2011-12-10-20111210T041500Z-0123456789abcdef")
    head = (
        f"-- What `python load_sql.py {dialect} {DAY}` prints for three tables of the sample.\n"
        f"-- It is run by: {RUN[dialect]} {dialect}.sql\n\n"
    )
    path = EXAMPLES / "sql" / f"{dialect}.sql"
    if os.environ.get("SEGMILL_BLESS"):
        path.write_text(head + shown)
    if path.read_text() != head + shown:
        sys.exit(f"{path} is not what load_sql.py prints: run this with SEGMILL_BLESS=1, and read what it wrote")
    # sqlfluff's Databricks does not know `replace where`; Spark's own parser reads that in check_spark.py.
    if dialect != "databricks":
        result = subprocess.run([sys.executable, "-m", "sqlfluff", "parse", "--dialect", dialect, path], capture_output=True, text=True)
        if result.returncode or "unparsable" in result.stdout or "Skipping" in result.stdout + result.stderr:
            sys.exit(f"{dialect}: sqlfluff does not read {path}\n{result.stdout[-2000:]}{result.stderr[-500:]}")
        print(f"{dialect}: sqlfluff reads {path.name}")

# As a program it prints a day that is published here, too.
printed = support.run("load_sql.py", "snowflake", DAY)
assert printed.startswith(f"-- {DAY}, number 2, run {DAY}-") and "commit;" in printed
