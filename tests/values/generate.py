"""Writes the files of the table of meanings, what is expected of every cell, and the table in docs/values.md.

    python tests/values/generate.py            # all but what Spark writes
    python tests/values/generate.py --spark    # that too: needs pyspark and Java
    python tests/values/generate.py --check    # nothing is written; differences end with status 1
"""

import argparse
import csv
import json
import pathlib
import sys
import tempfile

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

import cells
import columns
import local_time
import meanings
import page

HERE = pathlib.Path(__file__).parent
FILES, EXPECTED, DAMAGED = HERE / "files", HERE / "expected.json", "checksum.parquet"
LISTS = {"texts": columns.TEXTS, "changes": columns.CHANGES}
EVENT = "2020-01-01T00:00:00Z"


def rows_of(group):
    return group.rows * group.repeat


def parquet_table(group):
    """The columns of a group padded with nulls, the number of each row, and an event time before every as-of day."""
    rows = rows_of(group)
    arrays = {"n": pyarrow.array(range(1, rows + 1), pyarrow.int64()), "at": pyarrow.array([EVENT] * rows)}
    for column in group.columns:
        missing = group.rows - len(column.values)
        array = column.array
        if missing:
            nulls = pyarrow.nulls(missing, array.type)
            array = pyarrow.concat_arrays([array, nulls])
        arrays[column.name] = pyarrow.chunked_array([array] * group.repeat)
    return pyarrow.table(arrays)


def write_parquet(group, path):
    table = parquet_table(group)
    plain = [name for name in table.schema.names if not name.endswith("_plain")]
    options = {"store_decimal_as_integer": True} if "store_decimal_as_integer" in group.writer else {}
    pyarrow.parquet.write_table(table, path, compression="zstd", use_dictionary=plain, write_statistics=True, **options)


def write_csv(group, path):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["n", "at", *(column.name for column in group.columns)])
        writer.writerows([row, EVENT, *texts] for row, texts in enumerate(zip(*(column.written for column in group.columns)), 1))


def write_ndjson(group, path):
    def token(column, row):
        return column.written[row] if column.family.startswith("json") else json.dumps(column.written[row])

    with path.open("w", encoding="utf-8") as file:
        for row in range(group.rows):
            members = "".join(f', "{column.name}": {token(column, row)}' for column in group.columns)
            file.write(f'{{"n": {row + 1}, "at": "{EVENT}"{members}}}\n')


def write_duckdb(group, path):
    import duckdb

    query = " union all ".join(selects(group, "{}::bigint", '"'))
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"copy (from ({query}) order by n) to '{path}' (format parquet, compression uncompressed)")


def write_polars(group, path):
    import datetime

    import polars

    held = [[value and value[1] for value in column.values] for column in group.columns]
    moment = lambda value: value and datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=value // 1000)
    category, decimals, unsigned, local, nothing = held
    rows = len(nothing)
    polars.DataFrame({
        "n": range(1, rows + 1), "at": [EVENT] * rows, "category": polars.Series(category, dtype=polars.Categorical),
        "decimal": polars.Series(decimals, dtype=polars.Decimal(10, 2)), "unsigned": polars.Series(unsigned, dtype=polars.UInt64),
        "local": polars.Series([moment(value) for value in local], dtype=polars.Datetime("us")), "nothing": polars.Series(nothing),
    }).write_parquet(path)


def int96_frame(group):
    texts = [text and text.rstrip("Z") for text in group.columns[0].written]
    return [(row, EVENT, text) for row, text in enumerate(texts, 1)]


def write_int96(group, path):
    rows = int96_frame(group)
    if group.writer == "fastparquet":
        import fastparquet
        import pandas

        frame = pandas.DataFrame({"n": [row for row, _, _ in rows], "at": [at for _, at, _ in rows]})
        frame["int96"] = pandas.to_datetime(pandas.Series([text for _, _, text in rows]), format="ISO8601").astype("datetime64[ns]")
        fastparquet.write(str(path), frame, times="int96", compression="UNCOMPRESSED", write_index=False, object_encoding="utf8")
        return
    moments = [None if text is None else columns.nanos(text) for _, _, text in rows]
    table = pyarrow.table({
        "n": [row for row, _, _ in rows], "at": [at for _, at, _ in rows],
        "int96": pyarrow.array(moments, pyarrow.int64()).cast(pyarrow.timestamp("ns")),
    })
    pyarrow.parquet.write_table(table, path, compression="none", use_deprecated_int96_timestamps=True)


def write_spark(group, path):
    """Timestamps as INT96, as Spark wrote them by default up to version 3, and other types as it writes them now; in UTC."""
    import shutil

    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
    session = session.config("spark.sql.parquet.int96RebaseModeInWrite", "CORRECTED").getOrCreate()
    is_int96 = group.name.startswith("INT96")
    session.conf.set("spark.sql.parquet.outputTimestampType", "INT96" if is_int96 else "TIMESTAMP_MICROS")
    if is_int96:
        frame = session.createDataFrame(int96_frame(group), "n long, at string, text string")
        frame = frame.selectExpr("n", "at", "cast(text as timestamp) as int96")
    else:
        frame = session.sql(" union all ".join(selects(group, "cast({} as bigint)", "`")))
    frame = frame.coalesce(1).sortWithinPartitions("n")
    with tempfile.TemporaryDirectory() as folder:
        frame.write.mode("overwrite").option("compression", "uncompressed").parquet(folder + "/out")
        (part,) = pathlib.Path(folder, "out").glob("part-*.parquet")
        shutil.copyfile(part, path)


def selects(group, number, quote):
    """A query for every row of columns that are given in SQL."""
    rows = zip(*(column.array for column in group.columns))
    named = lambda values: ", ".join(f"{sql} as {quote}{column.name}{quote}" for sql, column in zip(values, group.columns))
    return [f"select {number.format(row)} as n, '{EVENT}' as at, {named(values)}" for row, values in enumerate(rows, 1)]


def write_parts(folder):
    """Moments in parts, as text and as pyarrow writes them."""
    rows = columns.parts_table()
    shown = lambda value: str(value) if not isinstance(value, int) else value
    with (folder / "parts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with (folder / "parts.ndjson").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({name: shown(value) for name, value in row.items()}) + "\n" for row in rows)
    arrays = {name: pyarrow.array([row[name] for row in rows], columns.PART_TYPES.get(name)) for name in rows[0]}
    pyarrow.parquet.write_table(pyarrow.table(arrays), folder / "parts.parquet", compression="zstd")


def write_damaged(path):
    """A file with the checksums of its pages, one byte of which has changed since."""
    table = pyarrow.table({"customer_id": ["customer-a", "customer-b"], "at": [EVENT] * 2})
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True)
    path.write_bytes(path.read_bytes().replace(b"customer-b", b"customer-x"))


def serials_are_those_of_openpyxl():
    """Whether days of spreadsheets are read here as openpyxl reads them, but for days 0 and 60, which never were."""
    import datetime

    from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

    tz = local_time.zone("UTC")
    wrong = []
    for system, epoch, first in (("serial_1900", CALENDAR_WINDOWS_1900, 1), ("serial_1904", CALENDAR_MAC_1904, 1)):
        for number in columns.serial_doubles()[0].values:
            if not first <= number[1][0] < 2_950_000 or (system == "serial_1900" and 59.99 < number[1][0] < 61):
                continue
            shape, held = meanings._time(number, meanings.Declared("timestamp", system), tz)
            known = from_excel(number[1][0], epoch) - datetime.datetime(1970, 1, 1)
            if held != known // datetime.timedelta(microseconds=1):
                wrong.append(f"{number} of {system} is {known} to openpyxl and {held} here")
    return wrong


def is_damaged(path):
    """Whether only the checksum tells that a file is damaged."""
    pyarrow.parquet.read_table(path)
    try:
        pyarrow.parquet.read_table(path, page_checksum_verification=True)
    except OSError:
        return True
    return False


def write(group, path, spark):
    if path.suffix == ".csv":
        write_csv(group, path)
    elif path.suffix == ".ndjson":
        write_ndjson(group, path)
    elif group.writer.startswith("Spark"):
        if spark:
            write_spark(group, path)
    elif group.writer in ("DuckDB", "Polars"):
        {"DuckDB": write_duckdb, "Polars": write_polars}[group.writer](group, path)
    elif group.name.startswith("INT96"):
        write_int96(group, path)
    else:
        write_parquet(group, path)


def expected(groups):
    """What is expected of every cell, one cell a line."""
    told = []
    for group in groups:
        tz = local_time.zone(group.zone)
        # A column without a meaning refuses the run; what the others mean stands row by row.
        lines = []
        for column, declared, is_refused in cells.cells(group):
            cell = {"column": column.name, "type": declared.type}
            cell |= {key: value for key in ("format", "min", "max") if (value := getattr(declared, key))}
            if is_refused:
                cell["refused"] = True
            else:
                cell |= sparse([meanings.verdict(value, declared, tz) for value in column.values])
            lines.append(cell)
        described = {column.name: {"physical": column.physical, "written": named(column.written)} for column in group.columns}
        told.append({"group": group.name, "file": group.file, "writer": group.writer, "time_zone": group.zone, "repeat": group.repeat,
                     "columns": described, "cells": lines, "event_times": events(group, tz), "lists": LISTS})
    return told


def named(written):
    """Values that several columns hold are said once, under a name."""
    return next((name for name, texts in LISTS.items() if texts == written), written)


def events(group, tz):
    """What is expected of the rows of a group when a column of it is the source's event time."""
    as_of = local_time.days_of(*map(int, cells.AS_OF.split("-")))
    told = []
    for column, declared in cells.event_times(group):
        cell = {"column": column.name, "type": declared.type} | ({"format": declared.format} if declared.format else {})
        told.append(cell | sparse([meanings.placed(value, declared, tz, as_of) for value in column.values]))
    return told


def sparse(verdicts):
    """The commonest verdict said once, and the others by the number of their row."""
    common = max(verdicts, key=lambda verdict: (verdicts.count(verdict), json.dumps(verdict)))
    return {"mostly": common, "rows": {str(row): verdict for row, verdict in enumerate(verdicts, 1) if verdict != common}}


def as_text(told):
    """JSON with a cell a line, so that a change shows where it is."""
    short = lambda value: json.dumps(value, ensure_ascii=False)
    parts = []
    for group in told:
        head = ", ".join(f"{short(key)}: {short(value)}" for key, value in group.items() if key not in ("columns", "cells", "event_times", "lists"))
        described = ",\n    ".join(f"{short(name)}: {short(column)}" for name, column in group["columns"].items())
        lines, events = (",\n    ".join(short(cell) for cell in group[key]) for key in ("cells", "event_times"))
        parts.append(f'  {{{head},\n   "columns": {{\n    {described}}},\n   "cells": [\n    {lines}],\n   "event_times": [\n    {events}]}}')
    lists = ",\n  ".join(f"{short(name)}: {short(texts)}" for name, texts in LISTS.items())
    return f'{{"as_of": "{cells.AS_OF}",\n "written": {{\n  {lists}}},\n "groups": [\n' + ",\n".join(parts) + "\n]}\n"


def readable(path):
    """What a file holds, for comparing: as pyarrow reads it, INT96 in microseconds, or its bytes."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    table = pyarrow.parquet.read_table(path, coerce_int96_timestamp_unit="us")
    # As bytes, because NaN is not equal to itself.
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def holds_what_is_expected(group, path):
    """Whether the moments that a file holds as INT96 are those that the expectations are made from; of others, whether it has them."""
    if not group.name.startswith("INT96"):
        names = pyarrow.parquet.read_schema(path).names
        return names == ["n", "at", *(column.name for column in group.columns)]
    held = pyarrow.parquet.read_table(path, coerce_int96_timestamp_unit="us").column("int96").cast(pyarrow.int64()).to_pylist()
    return held == [None if value is None else value[1] // 1000 for value in group.columns[0].values]


def check(groups):
    problems = [] if is_damaged(FILES / DAMAGED) else [f"{FILES / DAMAGED} has no page with a wrong checksum"]
    problems += serials_are_those_of_openpyxl()
    with tempfile.TemporaryDirectory() as folder:
        for group in groups:
            path, again = FILES / group.file, pathlib.Path(folder, group.file)
            write(group, again, spark=False)
            same = (lambda: readable(path) == readable(again)) if again.exists() else (lambda: holds_what_is_expected(group, path))
            if not path.exists() or not same():
                problems.append(f"{path} is not what would be written")
        write_parts(pathlib.Path(folder))
        for again in pathlib.Path(folder).glob("parts.*"):
            if readable(FILES / again.name) != readable(again):
                problems.append(f"{FILES / again.name} is not what would be written")
    if EXPECTED.read_text(encoding="utf-8") != as_text(expected(groups)):
        problems.append(f"{EXPECTED} is not what would be written")
    if page.PAGE.read_text(encoding="utf-8") != page.with_table(expected(groups)):
        problems.append(f"the table in {page.PAGE} is not what would be written")
    return problems


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--spark", action="store_true", help="write what Spark writes too")
    arguments.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    given = arguments.parse_args()
    groups = cells.groups()
    if given.check:
        problems = check(groups)
        print("\n".join(problems) or "files, expectations and page are as they would be written")
        sys.exit(bool(problems))
    FILES.mkdir(exist_ok=True)
    for group in groups:
        write(group, FILES / group.file, given.spark)
    write_parts(FILES)
    write_damaged(FILES / DAMAGED)
    told = expected(groups)
    EXPECTED.write_text(as_text(told), encoding="utf-8")
    page.PAGE.write_text(page.with_table(told), encoding="utf-8")
    print(sum(len(group["cells"]) for group in told), "cells")


if __name__ == "__main__":
    main()
