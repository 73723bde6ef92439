"""Reads the Delta Lake tables that runs copy their outputs to, with the package deltalake and with DuckDB, and compares every value.

The days of the project are published, again with other columns, withdrawn, and copied beside what others do to such tables: they add rows,
write checkpoints, compact and run VACUUM.
"""

import datetime
import json
import re
import shutil
import sys
import warnings
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from delta_project import CUSTOMERS, PIPELINE, Project, in_order, rows_of

project = Project("delta")
TABLES = project.folder / "tables"
db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
extension = next(Path(sys.prefix).glob("lib/python3*/site-packages/duckdb_extension_delta/extensions/*/delta.duckdb_extension"))
db.execute(f"load '{extension}'")
db.execute("set timezone = 'UTC'")


def by_deltalake(table, day):
    # The package calls its own default a thing of the past.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DeltaTable(TABLES / table).to_pyarrow_table(partitions=[("as_of", "=", day)])


def by_duckdb(table, day):
    return db.sql(f"from delta_scan('{TABLES / table}') where as_of = date '{day}'").to_arrow_table()


def compare(what):
    """Every value of every published day is in the tables, and nothing else."""
    values = 0
    for table, days in project.published().items():
        if table == "rejected":
            assert not (TABLES / table).exists()
            continue
        columns = [field.name for field in DeltaTable(TABLES / table).schema().fields]
        assert columns[-1] == "as_of", columns
        total = 0
        for day, file in days.items():
            wanted = rows_of(file, columns, day)
            for reader in [by_deltalake, by_duckdb]:
                found = in_order(reader(table, day).to_pylist())
                if found != wanted:
                    pairs = [pair for pair in zip(found, wanted) if pair[0] != pair[1]]
                    sys.exit(f"{what}: {reader.__name__} of {table} as of {day}: {len(found)} rows of {len(wanted)}, {pairs[:1]}")
            total += len(wanted)
            values += len(wanted) * len(columns)
        (there,) = db.sql(f"select count(*) from delta_scan('{TABLES / table}')").fetchone()
        assert there == total, f"{what}: {table} has {there} rows, and {total} are published"
    print(f"{what}: {values:,} values are those of the files, in deltalake and DuckDB", flush=True)


def versions(table="customers"):
    return DeltaTable(TABLES / table).version()


told = project.run("2026-10-03")
assert [table["version"] for table in told["delta_tables"]] == [0, 0], told["delta_tables"]
project.run("2026-10-04")
compare("two days")
table = DeltaTable(TABLES / "customers")
fields = {field.name: field for field in table.schema().fields}
types = {name: json.loads(field.type.to_json()) for name, field in fields.items()}
assert types["spent"] == "decimal(28,2)" and types["seen_at"] == "timestamp" and types["local_at"] == "timestamp_ntz", types
assert fields["customer_id"].metadata == {"comment": 'The "id", of a customer'} and fields["seen_at"].metadata["comment"] == "When it was"
add = pa.table(table.get_add_actions(flatten=True)).to_pylist()
assert [action["num_records"] for action in sorted(add, key=lambda action: action["partition.as_of"])] == [26, 38], add
# Personal values are not told, by which the log would keep them.
logs = "".join(log.read_text() for log in (TABLES / "customers/_delta_log").glob("*.json")).replace("\\", "")
assert '"orders":2' in logs and not re.search(r'"c\d{3}"', logs)
app_id = "segmill:" + json.loads((project.folder / "out/segmill.json").read_text())["id"]
assert table.transaction_version(app_id) == 2, "the number of the publication"

# The same again adds nothing; a day that is published again replaces its rows, in one version.
assert project.run("2026-10-04")["status"] == "unchanged" and versions() == 1
project.run("2026-10-03", "--param", "edition=2")
assert versions() == 2
compare("a day published again")
assert {row["edition"] for row in by_duckdb("customers", "2026-10-03").to_pylist()} == {2}

# Columns come and go, also those within structures.
project.write("sql/customers.sql", CUSTOMERS.replace("    nullif(customer_id, 'c001') as maybe,\n", "    'new' as came,\n").replace("'n', count(*)", "'n', count(*), 'more', true"))
project.run("2026-10-05")
compare("other columns")

# What others do to such a table, Segmill goes on from.
write_deltalake(TABLES / "counts", pa.table({"n": [-1], "as_of": [datetime.date(2026, 10, 5)]}), mode="append")
for name in ["customers", "counts"]:
    other = DeltaTable(TABLES / name)
    other.optimize.compact()
    other.create_checkpoint()
    other.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    (TABLES / name / "_delta_log" / f"{0:020}.json").unlink()
project.run("2026-10-05", "--param", "edition=3")
compare("after a checkpoint, a compaction and VACUUM by others")

# A day that is withdrawn goes with the next run. After ten versions there are checkpoints of Segmill's own.
for edition in range(4, 13):
    project.run("2026-10-05", "--param", f"edition={edition}")
assert any((TABLES / "customers/_delta_log").glob("*0.checkpoint.parquet"))
for log in (TABLES / "customers/_delta_log").glob("*.json"):
    if int(log.stem) < versions() // 10 * 10:
        log.unlink()
compare("by a checkpoint of Segmill's own")
project.write("pipelines/tiny.yaml", PIPELINE.replace("  destination: out\n", "  destination: out\n  keep: {days: 2}\n"))
project.run("2026-10-05")
project.segmill("clean", "pipelines/tiny.yaml", "--remove", "--grace", "0s")
project.run("2026-10-05", "--force")
assert sorted(project.published()["customers"]) == ["2026-10-04", "2026-10-05"]
compare("a day withdrawn")

# A table that is not Segmill's is refused, and what was published stays.
before = len(list((project.folder / "out/commits").glob("*.json")))
shutil.rmtree(TABLES / "counts")
write_deltalake(TABLES / "counts", pa.table({"x": [1]}))
refused = project.segmill("run", "pipelines/tiny.yaml", "--as-of", "2026-10-05", "--force", status=2)
assert "foreign-delta-table" in refused.stderr and "published as" in refused.stderr, refused.stderr
assert DeltaTable(TABLES / "counts").to_pyarrow_table().to_pylist() == [{"x": 1}]
print("a table of somebody else is refused and left alone")
# With threads of DuckDB and of the package deltalake still there, the interpreter ends with an abort now and then.
db.close()
