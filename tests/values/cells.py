"""Which declarations are tried on which columns, and the groups of them that one file and one run of the pipeline serve."""

import dataclasses

import columns
from meanings import Declared, refused

PLAIN = [Declared(name) for name in ("string", "integer", "decimal(10,2)", "decimal(38,10)", "double", "boolean", "date", "timestamp")]
NUMBERS = [Declared("decimal(12,2)", written) for written in ("1.234,56", "1,234.56", "1 234,56", "1'234.56", "1234,56")]
NUMBERS += [Declared("integer", "1.234,56"), Declared("integer", "1,234.56"), Declared("double", "1.234,56")]
EPOCHS = [Declared(name, f"epoch_{unit}") for unit in ("s", "ms", "us", "ns", "days") for name in ("date", "timestamp")]
SERIALS = [Declared(name, f"serial_{since}") for since in (1900, 1904) for name in ("date", "timestamp")]
# Numbers with something around them.
AMOUNTS = [Declared("decimal(12,2)", written) for written in (
    "€ 1.234,56", "$1,234.56", "1.234,56 €", "1.234,56 EUR", "R$ 1.234,56", "kr. 1.234,56", "CHF 1'234.56", "1 234,56 €", "(1,234.56)",
    "($1,234.56)", "$(1,234.56)", "1234.56-", "£1,234.56-", "12,34,567.89", "\u20b9 12,34,567.89",
)]
AMOUNTS += [Declared(name, "1,234.56%") for name in ("decimal(5,3)", "decimal(12,6)", "double", "integer")]
AMOUNTS += [Declared("decimal(12,6)", "1.234,56 %"), Declared("decimal(12,6)", "%1234.56"), Declared("double", "$1,234.56"), Declared("integer", "$1,234.56")]
PERCENT = [Declared("decimal(12,6)", "1.234,56 %"), Declared("double", "1234.56%"), Declared("integer", "1234.56%")]
DATE_PATTERNS = ("%d/%m/%Y", "%Y%m%d", "%d.%m.%y", "%Y/%m/%d", "%d/%m/%Y %H:%M", "%s")
MOMENT_PATTERNS = ("%d/%m/%Y", "%Y%m%d", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M UTC", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S %z",
                   "%Y-%m-%d %H:%M:%S %Z", "%s")
PATTERNS = [Declared("date", pattern) for pattern in DATE_PATTERNS] + [Declared("timestamp", pattern) for pattern in MOMENT_PATTERNS]
BOUNDS = [Declared(name, None, low, high) for name in ("date", "timestamp")
          for low, high in (("1800-01-01", None), (None, "2500-12-31"), ("1800-01-01", "2500-12-31"), ("2025-01-01", "2025-12-31"))]
DIGITS = [Declared("date", "%Y%m%d"), Declared("timestamp", "%Y%m%d"), Declared("timestamp", "%s"), Declared("decimal(12,2)", "1.234,56")]

OF_FAMILY = {
    "text": PLAIN + NUMBERS + EPOCHS + PATTERNS + BOUNDS, "binary": PLAIN, "integer": PLAIN + EPOCHS + DIGITS,
    "float": PLAIN + EPOCHS + DIGITS + PERCENT, "decimal": PLAIN + EPOCHS + DIGITS, "date": PLAIN + BOUNDS + [Declared("date", "%d/%m/%Y")],
    "timestamp": PLAIN + BOUNDS + [Declared("timestamp", "%d/%m/%Y %H:%M")], "json": PLAIN + NUMBERS[:2] + EPOCHS + DIGITS + PERCENT + BOUNDS[:1],
    "amount": AMOUNTS, "serial": SERIALS, "json_serial": SERIALS, "serial_float": SERIALS, "serial_integer": SERIALS,
}
# Of local times around changes only what they mean is asked.
OF_FAMILY |= {
    "local": [Declared("timestamp"), Declared("date")], "day": [Declared("timestamp"), Declared("date")],
    "local_pattern": [Declared("timestamp", "%d/%m/%Y %H:%M:%S")],
    "day_pattern": [Declared("timestamp", "%d/%m/%Y"), Declared("date", "%d/%m/%Y")],
}
# A second column of the same kind as another adds nothing by every format: these are tried on it.
FEW = PLAIN[:6] + [Declared("date", "%d/%m/%Y"), Declared("timestamp", "epoch_ms"), Declared("timestamp", "%d/%m/%Y %H:%M"),
                   Declared("decimal(12,2)", "1.234,56"), Declared("date"), Declared("timestamp")]


@dataclasses.dataclass
class Group:
    """One file and the columns in it. Rows repeat to fill the file where `repeat` says so."""

    name: str
    file: str
    writer: str
    columns: list
    zone: str = "America/New_York"
    repeat: int = 1
    few: bool = False

    @property
    def rows(self):
        return max(len(column.values) for column in self.columns)

    def declared(self, column):
        if self.few:
            return FEW if column.family == "text" else PLAIN
        if column.name in ("large_string", "string_view", "categories", "string_plain"):
            return FEW
        return OF_FAMILY.get(column.family, PLAIN)


def groups():
    text = lambda name: [columns.Column(name, {"csv": "text", "json": "text"}[name], "text", columns.texts(), None, columns.TEXTS)]
    json_values = columns.json_values()
    tokens = columns.Column("json_value", "number, boolean, null, nested", "json", [value for _, value in json_values], None,
                            [token for token, _ in json_values])
    parquet = columns
    found = [
        Group("CSV text", "text.csv", "Python csv", text("csv")),
        Group("JSON text", "text.ndjson", "Python json", text("json")),
        Group("JSON values", "values.ndjson", "Python json", [tokens]),
        # With a comma in the name: not in the page.
        Group("CSV, amounts", "amounts.csv", "Python csv", columns.amount_columns()),
        Group("JSON, amounts", "amounts.ndjson", "Python json", columns.amount_columns()),
        Group("Parquet, amounts", "amounts.parquet", "pyarrow", columns.amount_columns()),
        Group("CSV, serials", "serials.csv", "Python csv", columns.serial_columns()),
        Group("JSON, serials", "serials.ndjson", "Python json", columns.serial_tokens()),
        Group("Parquet, serials", "serials.parquet", "pyarrow", columns.serial_doubles()),
        Group("Parquet text", "text.parquet", "pyarrow", parquet.text_columns()),
        Group("Parquet text by keys", "keys.parquet", "pyarrow", parquet.text_columns()[:1], repeat=40, few=True),
        Group("Parquet integers", "integers.parquet", "pyarrow", parquet.integer_columns()),
        Group("Parquet floats", "floats.parquet", "pyarrow", parquet.float_columns()),
        Group("Parquet decimals", "decimals.parquet", "pyarrow", parquet.decimal_columns()),
        Group("Parquet decimals in integers", "integer_decimals.parquet", "pyarrow, store_decimal_as_integer", parquet.integer_decimal_columns()),
        Group("Parquet dates and times", "times.parquet", "pyarrow", parquet.time_columns()),
        Group("Parquet others", "others.parquet", "pyarrow", parquet.other_columns()),
        Group("Parquet by DuckDB", "duckdb.parquet", "DuckDB", parquet.duckdb_columns(), few=True),
        Group("Parquet by Polars", "polars.parquet", "Polars", parquet.polars_columns(), few=True),
        Group("Parquet by Spark", "spark.parquet", "Spark 4.3", parquet.spark_columns(), few=True),
        Group("INT96 by Spark", "int96_spark.parquet", "Spark 4.3", [parquet.int96_column(parquet.INT96)]),
        Group("INT96 by Spark, UTC", "int96_spark.parquet", "Spark 4.3", [parquet.int96_column(parquet.INT96)], zone="UTC"),
        Group("INT96 by pyarrow", "int96_pyarrow.parquet", "pyarrow", [parquet.int96_column(parquet.NANOSECOND_INT96)]),
        Group("INT96 by fastparquet", "int96_fastparquet.parquet", "fastparquet", [parquet.int96_column(parquet.NANOSECOND_INT96)]),
    ]
    for zone in parquet.ZONES:
        found += [
            Group(f"CSV, {zone}", "changes.csv", "Python csv", parquet.change_texts(), zone),
            Group(f"JSON, {zone}", "changes.ndjson", "Python json", parquet.change_texts(), zone),
            Group(f"Parquet, {zone}", "changes.parquet", "pyarrow", parquet.change_columns(), zone),
        ]
    return found


def cells(group):
    """Every column and declaration of a group, and whether the run is refused for it."""
    for column in group.columns:
        for declared in group.declared(column):
            yield column, declared, refused(column.family, declared)


# The zone of the groups whose columns are tried as event times, and the day that those runs are as of.
AS_OF = "2025-11-06"
EVENTS = {"CSV text", "JSON values", "Parquet integers", "Parquet dates and times", "INT96 by Spark", "Parquet others"}
EVENT_COLUMNS = {
    "csv": [Declared("timestamp"), Declared("date"), Declared("timestamp", "%d/%m/%Y"), Declared("timestamp", "epoch_s")],
    "json_value": [Declared("timestamp", "epoch_ms"), Declared("date", "epoch_s")], "int64": [Declared("timestamp", "epoch_s")],
    "date32": [Declared("date"), Declared("timestamp")], "seconds_utc": [Declared("timestamp")], "millis": [Declared("timestamp")],
    "micros": [Declared("timestamp"), Declared("date")], "micros_utc": [Declared("timestamp"), Declared("date")],
    "nanos_utc": [Declared("timestamp")], "int96": [Declared("timestamp"), Declared("date")], "nothing": [Declared("timestamp")],
}


def event_times(group):
    """The columns of a group that are tried as the event time of its source."""
    if group.name not in EVENTS:
        return []
    return [(column, declared) for column in group.columns for declared in EVENT_COLUMNS.get(column.name, [])]
