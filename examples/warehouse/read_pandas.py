"""Reads publications into pandas.

    pip install pandas pyarrow
    python read_pandas.py customers                                 the latest day
    python read_pandas.py customers 2011-12-09 2011-12-10           these days, one under the other

The column `as_of` says of which day a row is. The columns keep their Arrow types: without `dtype_backend` pandas would make floats of
integers with nulls, and objects of dates and decimals. In a notebook: `table("customers", ["2011-12-09", "2011-12-10"])`.
"""

import datetime
import sys

import pandas as pd
import pyarrow as pa

from publication import urls, wanted


def table(name, days=()):
    """The rows of a table as of the days, or of the latest day if none is given."""
    frames = []
    for day in wanted(days):
        (found,) = [table for table in day["tables"] if table["table"] == name]
        for url in urls(found):
            frame = pd.read_parquet(url, dtype_backend="pyarrow", partitioning=None)
            as_of = pd.Series(datetime.date.fromisoformat(day["as_of"]), index=frame.index, dtype=pd.ArrowDtype(pa.date32()))
            frame.insert(0, "as_of", as_of)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


if __name__ == "__main__":
    print(table(sys.argv[1], sys.argv[2:]))
