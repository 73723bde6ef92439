"""Writes the sound Parquet files that `fuzz/mutate.sh` damages: `python fuzz/seeds/parquet.py fuzz/seeds/parquet` (PyPI: pyarrow, duckdb, polars)."""

import datetime as dt
import decimal
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 40


def table(texts_only=False):
    """Rows of every type that a contract declares, with missing and bad values."""
    at = [dt.datetime(2026, 10, 1 + row % 28, 10, 0, row) for row in range(ROWS)]
    if texts_only:
        columns = {
            "at": pa.array([moment.strftime("%Y-%m-%d %H:%M:%S") for moment in at]),
            "date": pa.array([f"{1 + row % 28:02}.10.2026" for row in range(ROWS)]),
            "number": pa.array([str(row % 9) for row in range(ROWS)]),
            "amount": pa.array([f"{row}.50" if row % 5 else None for row in range(ROWS)]),
            "big": pa.array(["12345678901234567890.5"] * ROWS),
            "share": pa.array(["0.25"] * ROWS),
            "flag": pa.array(["true" if row % 2 else "no" for row in range(ROWS)]),
        }
    else:
        columns = {
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "date": pa.array([moment.date() if row % 7 else None for row, moment in enumerate(at)]),
            "number": pa.array([row % 9 for row in range(ROWS)], pa.int32()),
            "amount": pa.array([decimal.Decimal(row) / 4 if row % 5 else None for row in range(ROWS)], pa.decimal128(7, 2)),
            "big": pa.array([decimal.Decimal("12345678901234567890.5")] * ROWS, pa.decimal128(38, 10)),
            "share": pa.array([row / 8 for row in range(ROWS)]),
            "flag": pa.array([row % 2 == 0 for row in range(ROWS)]),
        }
    texts = {
        "id": pa.array([f"r{row}" for row in range(ROWS)]),
        "kind": pa.array([["a", "b", 'c "d"', "ü", None][row % 5] for row in range(ROWS)]),
        "email": pa.array([f"somebody.with.a.long.name.{row}@example.org" for row in range(ROWS)]),
    }
    return pa.table({"id": texts["id"], **columns, "kind": texts["kind"], "email": texts["email"]})


def main(folder):
    """Writes them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        for version in ("1.0", "2.0"):
            name = f"pyarrow-{codec}-v{version[0]}"
            pq.write_table(table(), folder / name, compression=codec, data_page_version=version, row_group_size=30, write_page_checksum=True)
    pq.write_table(table(), folder / "pyarrow-plain", use_dictionary=False, compression="none", data_page_size=64, write_batch_size=8)
    pq.write_table(table(), folder / "pyarrow-int96", use_deprecated_int96_timestamps=True, store_decimal_as_integer=True)
    texts = table(texts_only=True)
    pq.write_table(texts, folder / "pyarrow-texts", compression="zstd")
    delta = {name: "DELTA_BYTE_ARRAY" if at % 2 else "DELTA_LENGTH_BYTE_ARRAY" for at, name in enumerate(texts.column_names)}
    pq.write_table(texts, folder / "pyarrow-delta-texts", use_dictionary=False, column_encoding=delta, compression="none")
    delta = {"number": "DELTA_BINARY_PACKED", "at": "DELTA_BINARY_PACKED", "share": "BYTE_STREAM_SPLIT", "flag": "RLE", "email": "DELTA_BYTE_ARRAY"}
    pq.write_table(table(), folder / "pyarrow-delta", use_dictionary=False, column_encoding=delta, data_page_version="2.0", compression="none")

    import duckdb
    import polars

    rows = table()
    duckdb.sql(f"copy (from rows) to '{folder}/duckdb' (format parquet, parquet_version v2)")
    polars.from_arrow(rows).write_parquet(folder / "polars", compression="snappy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
