"""Runs the view of examples/segment_history.sql in DuckDB and PostgreSQL, and checks it against the memberships of every day.

usage: check_history.py DESTINATION [DATABASE ...]

DESTINATION holds several days. The databases are duckdb and postgres unless some are named; clickhouse needs chdb, and spark pyspark.
"""

import csv
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

destination = Path(sys.argv[1])
databases = sys.argv[2:] or ["duckdb", "postgres"]
view = (Path(__file__).resolve().parents[2] / "examples" / "segment_history.sql").read_text()
TABLES = {
    "segment_membership": "customer_id text, segment_set text, segment text, member_since date, as_of date",
    "segment_changes": "customer_id text, segment_set text, from_segment text, to_segment text, from_since date, merged_into text, "
    "adds_member boolean, as_of date",
}


def files(table):
    return f"{destination}/{table}/*/*.parquet"


source = duckdb.connect()
for table in TABLES:
    source.read_parquet(files(table), hive_partitioning=True).create_view(table)
truth = {}
for day, *member in source.execute("select as_of, customer_id, segment_set, segment from segment_membership").fetchall():
    truth.setdefault(str(day), set()).add(tuple(member))


def columns(table):
    return [column.split()[0] for column in TABLES[table].split(", ")]


def exported(table, path):
    rows = source.execute(f"select {', '.join(columns(table))} from {table}").fetchall()
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["" if value is None else value for value in row] for row in rows])


def in_duckdb():
    source.execute(view)
    return source.execute("select * from segment_history").fetchall()


def in_postgres():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        sys.exit("PostgreSQL is not installed: /usr/lib/postgresql has no version")
    bin, folder = found[-1].parent, Path(tempfile.mkdtemp(dir="/tmp"))
    # The server does not run as root.
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    as_user = ["runuser", "-u", user, "--"] if os.getuid() == 0 else []
    shutil.chown(folder, user)

    def call(*command, **options):
        return subprocess.run([*as_user, *map(str, command)], check=True, capture_output=True, text=True, cwd="/tmp", **options).stdout

    psql = ["psql", "-h", folder, "-U", user, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "--csv", "-t"]
    call(bin / "initdb", "-D", folder / "data", "-A", "trust", "-U", user)
    options = f"-k {folder} -c listen_addresses="
    call(bin / "pg_ctl", "-D", folder / "data", "-o", options, "-w", "-l", folder / "log", "start")
    try:
        for table, declared in TABLES.items():
            exported(table, folder / f"{table}.csv")
            (folder / f"{table}.csv").chmod(0o644)
            call(*psql, "-c", f"create table {table} ({declared})", "-c", f"\\copy {table} from '{folder}/{table}.csv' csv")
        call(*psql, input=view)
        found = csv.reader(call(*psql, "-c", "select * from segment_history").splitlines())
        return [[value or None for value in row] for row in found]
    finally:
        call(bin / "pg_ctl", "-D", folder / "data", "-m", "fast", "-w", "stop")
        shutil.rmtree(folder)


def in_clickhouse():
    from chdb.session import Session

    with tempfile.TemporaryDirectory() as folder:
        clickhouse = Session()
        for table in TABLES:
            path = f"{folder}/{table}.parquet"
            source.execute(f"copy (select {', '.join(columns(table))} from {table}) to '{path}' (format parquet)")
            clickhouse.query(f"create table {table} engine = MergeTree order by tuple() as select * from file('{path}')")
        clickhouse.query(view)
        found = csv.reader(str(clickhouse.query("select * from segment_history", "CSV")).splitlines())
        return [[None if value in ("", "\\N") else value for value in row] for row in found]


def in_spark():
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    for table in TABLES:
        spark.read.parquet(f"{destination}/{table}").createOrReplaceTempView(table)
    # A view over temporary views is temporary, too.
    spark.sql(view.replace("create view", "create temporary view", 1).rstrip().rstrip(";"))
    return [list(row) for row in spark.sql("select * from segment_history").collect()]


for database in databases:
    history = [[str(value) if value is not None else None for value in row] for row in globals()[f"in_{database}"]()]
    for day, members in truth.items():
        then = [tuple(row[:3]) for row in history if row[3] <= day and (row[4] is None or day < row[4])]
        if len(then) != len(set(then)) or set(then) != members:
            sys.exit(f"{database}: as of {day} the history has {len(then)} memberships, and the publication {len(members)}")
    # In an exclusive set one stay follows the other.
    stays = {}
    for customer, segment_set, _, start, end in history:
        if segment_set != "audiences":
            stays.setdefault((customer, segment_set), []).append((start, end or "9999"))
    gaps = [key for key, of in stays.items() if any(one[1] != next[0] for one, next in zip(sorted(of), sorted(of)[1:]))]
    if gaps:
        sys.exit(f"{database}: {len(gaps)} histories have gaps or overlaps, such as that of a customer in the set {gaps[0][1]}")
    print(f"{database}: {len(history)} stays over {len(truth)} days are those of the publications")
