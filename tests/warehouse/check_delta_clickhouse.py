"""Reads the Delta Lake tables that runs copy their outputs to with ClickHouse's own reader of their logs, and compares every value that its types
can hold: a list of structures with a null among them cannot be read.
"""

import os
import sys

import chdb
import pyarrow as pa

from delta_project import CUSTOMERS, Project, in_order, rows_of

project = Project("delta_clickhouse")
# ClickHouse reads files below the folder that it runs in.
os.chdir(project.folder)
LEFT_OUT = ["parts", "place"]


def compare(what):
    for table, days in project.published().items():
        if table == "rejected":
            continue
        for day, file in days.items():
            # Not the reader that DuckDB has, too.
            source = f"from deltaLakeLocal('tables/{table}') where as_of = '{day}' settings allow_experimental_delta_kernel_rs = 0"
            left_out = f"except ({', '.join(LEFT_OUT)})" if table == "customers" else ""
            arrow = chdb.query(f"select * {left_out} {source}, session_timezone = 'UTC', output_format_arrow_string_as_string = 1", "Arrow").bytes()
            found = pa.ipc.open_file(pa.py_buffer(arrow)).read_all()
            wanted = rows_of(file, found.column_names, day)
            # Moments have no zone there.
            rows = in_order([{name: plain(value) for name, value in row.items()} for row in found.to_pylist()])
            wanted = in_order([{name: plain(value) for name, value in row.items()} for row in wanted])
            if rows != wanted:
                pairs = [pair for pair in zip(rows, wanted) if pair[0] != pair[1]]
                sys.exit(f"{what}: {table} as of {day}: {len(rows)} rows of {len(wanted)}, {pairs[:1]}")
    print(f"{what}: ClickHouse reads what is published", flush=True)


def plain(value):
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value


project.run("2026-10-03")
project.run("2026-10-04")
project.run("2026-10-03", "--param", "edition=2")
compare("a day published again")
project.write("sql/customers.sql", CUSTOMERS.replace("    nullif(customer_id, 'c001') as maybe,\n", "    'new' as came,\n"))
for edition in range(3, 12):
    project.run("2026-10-05", "--param", f"edition={edition}")
log = project.folder / "tables/customers/_delta_log"
for version in range(10):
    (log / f"{version:020}.json").unlink()
compare("other columns, by a checkpoint of Segmill's own")
