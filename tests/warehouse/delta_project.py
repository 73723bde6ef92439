"""The project of the checks of Delta Lake tables, with values of every type that an output can have, and what those checks share."""

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

PIPELINE = """version: 1
name: tiny
parameters:
  edition: {type: integer, default: '1', description: Tells publications apart}
sources:
  orders:
    location: extracts/*.csv
    event_time: ordered_at
    columns:
      customer_id: {type: string, required: true, personal: true}
      ordered_at: {type: timestamp, required: true}
      spent: {type: 'decimal(18,2)', required: true}
outputs:
  destination: out
  delta: {location: tables}
  tables:
    customers:
      model: customers
      sort: [customer_id]
      columns: {customer_id: 'The "id", of a customer', seen_at: When it was}
    counts: {model: counts, sort: [n]}
"""
CUSTOMERS = """-- A customer.
select
    customer_id,
    count(*) as orders,
    sum(spent) as spent,
    max(ordered_at) as seen_at,
    to_local_time(max(ordered_at)) as local_at,
    cast(min(ordered_at) as date) as since,
    count(*) > 1 as came_back,
    cast(sum(spent) as double) / 3 as third,
    nullif(customer_id, 'c001') as maybe,
    make_array(sum(spent), null) as amounts,
    array_agg(ordered_at order by ordered_at) as moments,
    make_array(named_struct('word', 'it''s "so", {a\\b} ä', 'at', max(ordered_at)), null) as parts,
    named_struct('n', count(*), 'inner', named_struct('day', cast(min(ordered_at) as date))) as place,
    $edition as edition
from sources.orders
group by customer_id
"""
COUNTS = "-- How many rows there are.\nselect count(*) as n from sources.orders\n"
ORDERS = [f"c{n:03},2026-10-0{1 + n % 4}T1{n % 10}:00:0{n % 10}.{n:06}Z,{n}.{n:02}" for n in range(50)] * 2


class Project:
    """The project in a folder of its own, with nothing published."""

    def __init__(self, name):
        self.folder = Path(os.environ["LOADS_FOLDER"]) / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.write("pipelines/tiny.yaml", PIPELINE)
        self.write("sql/customers.sql", CUSTOMERS)
        self.write("sql/counts.sql", COUNTS)
        self.write("extracts/orders.csv", "customer_id,ordered_at,spent\n" + "\n".join(ORDERS) + "\n")

    def write(self, path, text):
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def segmill(self, *arguments, status=0):
        result = subprocess.run([os.environ["SEGMILL"], *arguments], cwd=self.folder, capture_output=True, text=True)
        if result.returncode != status:
            sys.exit(f"segmill {' '.join(arguments)}: {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def run(self, day, *more):
        return json.loads(self.segmill("run", "pipelines/tiny.yaml", "--as-of", day, "--format", "json", *more).stdout)

    def published(self):
        """The files of every published day, by table and day; from the commits alone."""
        newest = json.loads(max((self.folder / "out/commits").glob("*.json")).read_text())
        found = {}
        for day, number in newest["publications"].items():
            commit = json.loads((self.folder / f"out/commits/{number:08}.json").read_text())
            for table, described in commit["tables"].items():
                found.setdefault(table, {})[day] = self.folder / "out" / described["files"][0]["path"]
        return found


def rows_of(file, columns, day):
    """The rows that a table with some columns has of a published file. What an older day did not have is null."""
    rows = pq.read_table(file, partitioning=None).to_pylist()
    values = [{**row, "as_of": datetime.date.fromisoformat(day)} for row in rows]
    return in_order([{name: row.get(name) for name in columns} for row in values])


def lean(value):
    """A value without the fields of structures that are null: a file may lack a field that those of other days have."""
    if isinstance(value, list):
        return [lean(element) for element in value]
    if isinstance(value, dict):
        return {name: lean(field) for name, field in sorted(value.items()) if field is not None}
    return value


def in_order(rows):
    """Rows in one order, with their columns in one."""
    return sorted(({name: lean(value) for name, value in sorted(row.items())} for row in rows), key=repr)
