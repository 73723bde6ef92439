"""Runs load_postgres.py against a PostgreSQL server that it starts, also two at once, killed in the middle, and with a failing insert."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

import support
from support import DAY, EARLIER, at, compare, run, start

TYPES = {
    "string": "text",
    "int64": "bigint",
    "double": "double precision",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us, tz=UTC]": "timestamp with time zone",
    "decimal128": "numeric(…",
    "list": "{}[]",
}
# Blocks or refuses the insert into a table that is loaded after most others.
TRIGGER = """create or replace function segmill.in_the_middle() returns trigger language plpgsql as $$ begin {} return null; end $$;
create or replace trigger in_the_middle before insert on segmill.segment_summary execute function segmill.in_the_middle()"""


def check(db):
    def found(table, columns, day):
        query = SQL("select {} from {} where as_of = %s").format(SQL(", ").join(map(Identifier, columns)), Identifier("segmill", table))
        return db.execute(query, [day]).fetchall()

    def holds(day):
        compare("postgres", day, support.by_duckdb, found)

    def sums(day):
        """How many rows of the day each table has, and a checksum of all their values that are not null."""
        tables = db.execute("select table_name from information_schema.tables where table_schema = 'segmill'").fetchall()
        query = "select count(*), coalesce(sum(hashtextextended(jsonb_strip_nulls(to_jsonb(t))::text, 0)), 0) from {} as t where as_of = %s"
        names = [table for (table,) in tables if table != "segmill_loads"]
        return {name: db.execute(SQL(query).format(Identifier("segmill", name)), [day]).fetchone() for name in names}

    at("first")
    run("load_postgres.py", EARLIER)
    # Two loaders at once: one loads, and the other sees that there is nothing to do.
    both = [start("load_postgres.py", DAY) for _ in range(2)]
    said = sorted(process.communicate()[0].strip() for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert said == [f"{DAY}: loaded number 2", f"{DAY}: number 2 or a newer one is loaded already"], said
    holds(EARLIER), holds(DAY)
    kinds, comments = {}, {}
    for table, column, kind, comment in db.execute(
        """select relname, attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
           from pg_attribute join pg_class on pg_class.oid = attrelid
           where relnamespace = 'segmill'::regnamespace and attnum > 0 and relkind = 'r'"""
    ).fetchall():
        kinds.setdefault(table, {})[column] = kind
        comments.setdefault(table, {})[column] = comment
    support.check_types("postgres", DAY, TYPES, kinds)
    support.check_comments("postgres", DAY, comments)
    assert all(of["as_of"] == "date" for of in kinds.values())

    # Loading the same publication again gives the same rows.
    earlier, first = sums(EARLIER), sums(DAY)
    assert run("load_postgres.py", DAY) == f"{DAY}: number 2 or a newer one is loaded already\n"
    db.execute("delete from segmill.segmill_loads where as_of = %s", [DAY])
    run("load_postgres.py", DAY)
    assert sums(DAY) == first

    # A loader that is killed in the middle leaves the old day. Other sessions never see anything else, and never wait.
    db.execute(TRIGGER.format("perform pg_advisory_lock(7);"))
    holder = psycopg.connect(autocommit=True)
    holder.execute("select pg_advisory_lock(7)")
    db.execute("set lock_timeout = '1s'")
    at("again")
    loader = start("load_postgres.py", DAY)
    waiting = "select pid from pg_locks where locktype = 'advisory' and not granted"
    while not (blocked := db.execute(waiting).fetchone()):
        assert loader.poll() is None, loader.communicate()
        time.sleep(0.05)
    assert sums(DAY) == first
    assert loader.poll() is None, loader.communicate()
    loader.kill()
    loader.wait()
    holder.close()
    db.execute("set lock_timeout = 0")
    while db.execute("select from pg_stat_activity where pid = %s", blocked).fetchone():
        time.sleep(0.05)
    assert sums(DAY) == first
    # So does one whose insert fails.
    db.execute(TRIGGER.format("raise exception 'the disk is full';"))
    assert "the disk is full" in run("load_postgres.py", DAY, fails=True)
    assert sums(DAY) == first
    print("postgres: a load that is killed and one that fails leave the old day")
    db.execute("drop function segmill.in_the_middle cascade")

    # A day that was published again replaces its old rows: with a column more, and nothing in a table that is no longer published.
    assert "country" not in kinds["customer_facts"] and first["buying_clusters"][0] > 0
    assert run("load_postgres.py", DAY) == f"{DAY}: loaded number 3\n"
    holds(DAY)
    again = sums(DAY)
    assert again["buying_clusters"][0] == 0 and again["customers"] != first["customers"]
    # The older publication of the day does not replace it.
    at("first")
    assert "newer one is loaded already" in run("load_postgres.py", DAY)
    assert sums(DAY) == again
    assert sums(EARLIER) == earlier

    # A withdrawn day goes, and others stay.
    at("again")
    assert run("load_postgres.py", "--withdrawn") == ""
    at("withdrawn")
    assert "removed" in run("load_postgres.py", "--withdrawn")
    assert {rows for rows, _ in sums(DAY).values()} == {0}
    holds(EARLIER)
    print("postgres: a withdrawn day is removed")


installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
if not installed:
    sys.exit("PostgreSQL is not installed: /usr/lib/postgresql has no version")
bin, folder = installed[-1].parent, Path(tempfile.mkdtemp(dir="/tmp"))
# The server does not run as root.
user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
as_user = ["runuser", "-u", user, "--"] if os.getuid() == 0 else []
shutil.chown(folder, user)


def call(*command):
    subprocess.run([*as_user, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/tmp")


call(bin / "initdb", "-D", folder / "data", "-A", "trust", "-U", user, "--no-sync")
call(bin / "pg_ctl", "-D", folder / "data", "-o", f"-k {folder} -c listen_addresses= -c fsync=off", "-w", "-l", folder / "log", "start")
try:
    os.environ |= {"PGHOST": str(folder), "PGUSER": user, "PGDATABASE": "postgres", "PGTZ": "UTC"}
    with psycopg.connect(autocommit=True) as db:
        check(db)
finally:
    call(bin / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)
