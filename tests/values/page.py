"""The generated part of docs/values.md: what the tests expect, as a reader looks it up."""

import pathlib

PAGE = pathlib.Path(__file__).parents[2] / "docs/values.md"
BEGIN, END = "<!-- begin: table -->\n", "<!-- end: table -->\n"
TYPES = ("string", "integer", "decimal(10,2)", "double", "boolean", "date", "timestamp")
SHOWN = 5
# What readers look for first, by what is declared; other values follow in the order of the file.
SOUGHT = {
    "string": ("17850", "17850.0", "17850.00", "17850.0000000000", "1e5", "1.5", "-1.50", "0.1", "nan", "123456789012345678901234567890", "true"),
    "number": (
        "17850.0", "17850.00", "17850.0000000000", "1e5", "1.5", "-1.50", "1.990", "1.999", "1.9990000000", "19.99", "0.1",
        "0.30000000000000004", "9223372036854775807", "9223372036854775808", "18446744073709551615", "9007199254740993", "1e999", "NaN", "nan",
        "inf",
    ),
    "boolean": ("true", "Yes", "off", "1", "0", "1.0", "0.0", "1.00", "2", "yep", "1.5"),
    "written number": ("1.234,56", "1,234.56", "12,50", "12.50", "1.2,3", "1 234,56", "1\u00a0234,56", "1'234.56", "1234,56", "1234.56"),
    "time": (
        "2025-11-06", "2025-02-30", "20251106", "1899-12-31", "2201-01-01", "9999-12-31", "2025-11-06T03:30:15+01:00", "2025-11-06T03:30",
        "2025-11-06T03:30:15.123456789", "2025-11-06T00:00:00", "2025-11-06T00:00:00Z", "2025-03-09T02:30:00", "2025-11-02T01:30:00",
        "9999-12-31T12:00:00", "9999-12-31T12:00:00Z", "31/10/2025", "1762387200000",
    ),
    "epoch": (
        "1762387200", "1762387200.0", "1762387200.5", "1762387200000", "1762387200000000", "1762387200.5000000000", "2025-11-06",
        "9223372036854775807", "nan",
    ),
    "written time": (
        "20251106", "20251106.0", "20251306", "31/10/2025", "31/10/25", "30/02/2025", "31/10/2025 14:30", "09/03/2025 02:30", "02/11/2025 01:30", "31/10/25 14:30",
        "2025-11-06T03:30:15Z", "2025-07-01 12:00:00 EDT", "2025-11-02 01:30:00 EDT", "2025-11-02 01:30:00 EST",
        "2025-07-01 12:00:00 Europe/Berlin", "2025-07-01 12:00:00 PST", "2025-07-01 12:00:00 +0200", "31/10/2025 14:30 UTC", "2025-11-06",
    ),
}
# Columns that say nothing new to a reader, and the columns of which examples are given.
LEFT_OUT = {"string_plain", "integer_categories", "date32_edges", "micros_tokyo", "small_decimal", "naive", "moment", "time"}
EXAMPLES = {
    "csv", "json_value", "binary", "int64", "uint64", "float64", "float32", "decimal128_10_2", "decimal128_38_10", "bool", "uuid",
    "date32", "micros", "micros_utc", "nanos_utc", "time64_us", "int96",
}


def with_table(told):
    """The page with its generated part renewed."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return before + BEGIN + "\n" + "\n".join(_parts(told)) + "\n" + END + after


def _parts(told):
    left_out = (",", "Polars", "Parquet by Spark", "keys", "by pyarrow", "by fastparquet")
    groups = [group for group in told if not any(word in group["group"] for word in left_out)]
    yield from _overview(groups)
    yield "\n## The table of meanings"
    yield "Examples of what is read and what is rejected, out of all that the tests read. The zone of the pipeline is America/New_York."
    for declared in TYPES:
        yield f"\n### `{declared}`\n\n| in the file | is read | is rejected |\n| --- | --- | --- |"
        lines = {}
        for group in groups:
            for cell in group["cells"]:
                wanted = cell["type"] == declared and _is_shown(cell) and cell["column"] in EXAMPLES
                if wanted and not cell.get("refused") and "DuckDB" not in group["group"]:
                    lines.setdefault(_line(group, cell), []).append(_physical(group, cell))
        for line, physical in lines.items():
            yield f"| {_merged(physical)} {line}"
    yield "\n### With a format\n\n| declared | in the file | is read | is rejected |\n| --- | --- | --- | --- |"
    for group in groups:
        if group["group"] not in ("CSV text", "JSON values", "Parquet integers", "Parquet floats", "Parquet decimals"):
            continue
        for cell in group["cells"]:
            if "format" in cell and cell["column"] in ("csv", "json_value", "int64", "float64", "decimal128_38_10"):
                declared = f"`{cell['type']}`, {_code(cell['format'])}"
                yield f"| {declared} | {_physical(group, cell)} {_line(group, cell)}"


def _overview(groups):
    """For every physical type and declared type whether its values are read."""
    yield "| in the file | " + " | ".join(f"`{declared}`" for declared in TYPES) + " |"
    yield "| --- |" + " --- |" * len(TYPES)
    rows = {}
    for group in groups:
        for cell in group["cells"]:
            if cell["type"] in TYPES and _is_shown(cell):
                rows.setdefault(_physical(group, cell), {}).setdefault(cell["type"], set()).add(_extent(group, cell))
    lines = {}
    for physical, extents in rows.items():
        lines.setdefault(" | ".join(_joined(extents.get(declared, set())) for declared in TYPES), []).append(physical)
    for line, physical in lines.items():
        yield f"| {_merged(physical)} | {line} |"
    yield "\n*all*: every value that was tried is read. *some*: those that are of the type without loss. *none*: every value is rejected."
    yield "*refused*: the run is refused."


def _is_shown(cell):
    return not {"format", "min", "max"} & cell.keys() and cell["column"] not in LEFT_OUT


def _merged(physical):
    """Several physical types as one: where they come from is said once."""
    names = {}
    for one in dict.fromkeys(physical):
        where, _, name = one.partition(" ")
        names.setdefault(where, []).append(name)
    return "; ".join(f"{where} {', '.join(several)}" for where, several in names.items())


def _joined(extents):
    return "some" if len(extents - {"null"}) > 1 else next(iter(extents - {"null"} or extents or {""}))


def _extent(group, cell):
    if cell.get("refused"):
        return "refused"
    verdicts = [verdict for _, verdict in _read(group, cell) if verdict is not None]
    read = [verdict for verdict in verdicts if not _rejected(verdict)]
    return "null" if not verdicts else "all" if len(read) == len(verdicts) else "some" if read else "none"


def _rejected(verdict):
    return isinstance(verdict, str) and verdict.startswith("!") or isinstance(verdict, list) and any(v and v[0] == "!" for v in verdict)


def _read(group, cell):
    """Every value of the cell's column that is settled, with its verdict."""
    written = group["columns"][cell["column"]]["written"]
    written = group["lists"][written] if isinstance(written, str) else written
    for row, text in enumerate(written, 1):
        verdict = cell["rows"].get(str(row), cell["mostly"])
        reasons = isinstance(verdict, list) and all(one and one[0] == "!" for one in verdict)
        if text is not None and (isinstance(verdict, str) and verdict != "?" or reasons):
            yield text, verdict


def _physical(group, cell):
    physical = group["columns"][cell["column"]]["physical"]
    where = group["group"].split()[0]
    name, bracket, rest = physical.partition(" (")
    return {"CSV": "CSV text", "JSON": f"JSON {physical}", "INT96": "Parquet `INT96`"}.get(where, f"Parquet `{name}`{bracket}{rest}")


def _line(group, cell):
    base = cell["type"].split("(")[0]
    kind = "time" if base in ("date", "timestamp") else base if base in SOUGHT else "number"
    written = cell.get("format", "")
    sought = SOUGHT["epoch" if written.startswith(("epoch", "%s")) else f"written {kind}" if written else kind]
    pairs = sorted(_read(group, cell), key=lambda pair: sought.index(pair[0]) if pair[0] in sought else len(sought))
    read = [f"{_code(text)} → {_code(verdict[1:])}" for text, verdict in pairs if not _rejected(verdict)]
    rejected = [f"{_code(text)} {_reasons(verdict)}" for text, verdict in pairs if _rejected(verdict)]
    return f"| {'; '.join(read[:SHOWN])} | {'; '.join(rejected[:SHOWN])} |"


def _reasons(verdict):
    return " or ".join(one[1:] for one in verdict) if isinstance(verdict, list) else verdict[1:]


def _code(text):
    # A no-break space looks like a space, and a bar ends a cell.
    shown = text.replace("\u00a0", "⍽").replace("\u202f", "⍽").replace("|", "\\|")
    return f"`{shown}`" if shown else "(empty)"
