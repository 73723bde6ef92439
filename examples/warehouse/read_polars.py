"""Reads publications into Polars.

    pip install polars
    python read_polars.py customers                                 the latest day
    python read_polars.py customers 2011-12-09 2011-12-10           these days, one under the other

The column `as_of` says of which day a row is. In a notebook: `table("customers", ["2011-12-09", "2011-12-10"])`.
"""

import datetime
import sys

import polars as pl

from publication import urls, wanted


def table(name, days=()):
    """The rows of a table as of the days, or of the latest day if none is given."""
    frames = []
    for day in wanted(days):
        (found,) = [table for table in day["tables"] if table["table"] == name]
        as_of = pl.lit(datetime.date.fromisoformat(day["as_of"])).alias("as_of")
        frames.append(pl.read_parquet(urls(found), hive_partitioning=False).select(as_of, pl.all()))
    # A day may have columns that others do not have.
    return pl.concat(frames, how="diagonal")


if __name__ == "__main__":
    print(table(sys.argv[1], sys.argv[2:]))
