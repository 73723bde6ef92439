"""Reads a publication with DuckDB and Polars, as a warehouse would, and checks it against the extracts it was made from.

usage: check_outputs.py DESTINATION EXTRACTS
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import polars

destination, extracts = map(Path, sys.argv[1:])
commit = json.loads(max((destination / "commits").glob("*.json")).read_text())
files = {name: [str(destination / f["path"]) for f in table["files"]] for name, table in commit["tables"].items()}

db = duckdb.connect()
db.sql("set timezone = 'UTC'")
for name, paths in files.items():
    db.read_parquet(paths).create_view(name)
db.read_parquet(f"{extracts}/orders/*.parquet").create_view("orders")


def ask(sql, *values):
    return db.execute(sql, values).fetchall()


def check(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found}, expected {expected}")
    print(f"{what}: {found}")


# One row a customer, and as many who bought as the extract has. Their numbers are not compared: somebody known by an address
# before the first order keeps that name.
rows, distinct = ask("select count(*), count(distinct customer_id) from customers")[0]
check("customers are unique", rows, distinct)
check(
    "customers who bought",
    ask("select count(*) from customers where has_orders")[0][0],
    ask(
        """select count(distinct CustomerID) from orders
           where Quantity > 0 and UnitPrice > 0 and InvoiceNo not like 'C%' and InvoiceDate < ?::date""",
        commit["as_of"],
    )[0][0],
)

# No orphan, and each exclusive set covers everybody once.
check("orphans", ask("select count(*) from segment_membership anti join customers using (customer_id)")[0][0], 0)
for (name,) in ask("select distinct segment_set from segment_summary where set_kind = 'exclusive' order by 1"):
    check(
        f"members of the set {name}",
        ask("select count(*), count(distinct customer_id) from segment_membership where segment_set = ?", name)[0],
        (rows, rows),
    )
check(
    "segments whose summary differs from their members",
    ask(
        """select count(*) from segment_summary s
           full join (select segment_set, segment, count(*) n from segment_membership group by all) m using (segment_set, segment)
           where s.customers is distinct from m.n"""
    )[0][0],
    0,
)

# Money: what the extract says, computed here in exact decimals, is what the publication says.
line = "Quantity::decimal(18, 0) * UnitPrice::decimal(18, 3)"
gross, net = ask(
    f"""select sum({line}) filter (where Quantity > 0 and UnitPrice > 0 and InvoiceNo not like 'C%'), sum({line})
        from orders where CustomerID is not null and InvoiceDate < ?::date""",
    commit["as_of"],
)[0]
published = ask("select sum(gross_lifetime), sum(net_lifetime) from customers")[0]
cent = Decimal("0.01")
check("gross sales", published[0].quantize(cent), gross.quantize(cent))
check("net sales", published[1].quantize(cent), net.quantize(cent))

# The table of columns says of every column of every table what it is and means.
told = {}
for table, column, column_type, description in ask(
    "select table_name, column_name, column_type, description from columns order by table_name, position"
):
    if not description:
        sys.exit(f"{table}.{column} has no description")
    told.setdefault(table, []).append((column, column_type))
published = {name: [(c["name"], c["type"]) for c in table["columns"]] for name, table in commit["tables"].items()}
check("tables whose columns are described", sorted(told), sorted(published))
check("columns that are not as they are described", [name for name in published if told[name] != published[name]], [])
types = {"VARCHAR": "string", "BIGINT": "integer", "INTEGER": "integer", "DOUBLE": "double", "BOOLEAN": "boolean", "DATE": "date"}
for name, paths in files.items():
    read = [(column, types.get(kind, kind.lower().replace(" with time zone", ""))) for column, kind, *_ in ask(f"describe {name}")]
    if read != told[name]:
        sys.exit(f"{name}: DuckDB reads {read}, and it is described as {told[name]}")

# Polars reads the same, with the types that the commit names.
frame = polars.read_parquet(files["customers"])
check("customers read by Polars", frame.height, rows)
check("monetary read by Polars", frame["monetary"].sum(), ask("select sum(monetary) from customers")[0][0])
check("columns", frame.columns, [column["name"] for column in commit["tables"]["customers"]["columns"]])
print("every check holds")
