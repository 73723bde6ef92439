"""Reads two days into frames with read_polars.py and read_pandas.py."""

import datetime

import pandas
import polars
import pyarrow as pa

import support
from support import DAY, EARLIER, at, by_duckdb, by_pyarrow, check_types, compare, published, schemas

import read_pandas
import read_polars

at("again")
TABLES = set(published(DAY))
in_polars = {name: read_polars.table(name, [EARLIER, DAY]) for name in TABLES}
in_pandas = {name: read_pandas.table(name, [EARLIER, DAY]) for name in TABLES}


def of_polars(table, columns, day):
    frame = in_polars[table].filter(polars.col("as_of") == datetime.date.fromisoformat(day))
    return frame.select(columns).to_arrow()


def of_pandas(table, columns, day):
    frame = in_pandas[table]
    frame = frame[frame["as_of"] == datetime.date.fromisoformat(day)]
    return pa.Table.from_pandas(frame[columns], preserve_index=False)


compare("polars", DAY, by_pyarrow, of_polars)
compare("pandas", DAY, by_duckdb, of_pandas)
# The newest day has a column that the earlier one does not have.
for target, frame in [("polars", in_polars["customer_facts"].to_arrow()), ("pandas", pa.Table.from_pandas(in_pandas["customer_facts"]))]:
    countries = {day: frame.filter(pa.compute.equal(frame["as_of"], datetime.date.fromisoformat(day)))["country"] for day in [EARLIER, DAY]}
    assert countries[EARLIER].null_count == len(countries[EARLIER]) > 0, target
    assert countries[DAY].null_count < len(countries[DAY]), target

POLARS = {
    "string": "String",
    "int64": "Int64",
    "double": "Float64",
    "bool": "Boolean",
    "date32[day]": "Date",
    "timestamp[us, tz=UTC]": "Datetime(time_unit='us', time_zone='UTC')",
    "decimal128": "Decimal(…",
    "list": "List({})",
}
kinds = {name: {column: str(kind).replace("precision=", "").replace("scale=", "") for column, kind in frame.schema.items()} for name, frame in in_polars.items()}
check_types("polars", DAY, POLARS, kinds)
# pandas keeps the types of Arrow.
for table, meant in schemas(DAY).items():
    found = {column: str(kind.pyarrow_dtype) for column, kind in in_pandas[table].dtypes.items()}
    assert found == {"as_of": "date32[day]", **meant}, (table, found)
print(f"pandas {pandas.__version__}: the columns have the types of the files")

# The latest day, if none is named.
assert read_polars.table("customers")["as_of"].unique().to_list() == [datetime.date.fromisoformat(DAY)]
support.run("read_polars.py", "customers")
support.run("read_pandas.py", "customers", EARLIER)
