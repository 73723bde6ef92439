"""The physical columns of the table of meanings: what stands in the files, and as what."""

import dataclasses
import datetime
import decimal
import struct
import uuid
from decimal import Decimal

import numpy
import pyarrow

from local_time import DAY_US, days_of, instant_of, time_text, zone

MIN64, MAX64 = -(2**63), 2**63 - 1


@dataclasses.dataclass
class Column:
    """A column of a file. `values` are pairs of kind and what is held, `written` what a reader of messages sees of them."""

    name: str
    physical: str
    family: str
    values: list
    array: object = None
    written: list = None

    def __post_init__(self):
        self.written = self.written or [None if value is None else _shown(value) for value in self.values]


def _shown(value):
    kind, held = value
    if kind in ("bytes", "fixed"):
        return held.hex()
    if kind == "uuid":
        return str(uuid.UUID(bytes=held))
    if kind == "float":
        return repr(held[0])
    if kind == "decimal":
        return f"{held:f}"
    if kind in ("boolean", "json-boolean"):
        return str(held).lower()
    return str(held)


TEXTS = [
    # Whole numbers, ids, and what looks like them.
    "0", "1", "-1", "+5", "007", "17850", "17850.0", "17850.00", "-0.0", " 42 ", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "9007199254740992", "9007199254740993", "18446744073709551615", "17850abc",
    "0x10", "1_000", "١٢", "1 000", "--1",
    # Numbers.
    "1.5", "1.50", "-1.50", "19.99", "1.990", "1.999", "0.1", "0.30000000000000004", "1e5", "1E5", "1.5e3", "1e-3", "1e999", "-1e999",
    "99999999.99", "100000000", "1.2.3", "1e", "inf", "-Infinity", "NaN",
    # Numbers in formats.
    "1.234,56", "1,234.56", "1 234,56", "1\u00a0234,56", "1\u202f234,56", "1'234.56", "1234,56", "1234.56", "12.50", "12,50", "1.2,3",
    "1234,5", "-1.234,56", "99.9", "1.234", "1,234", "12,345", "1.234.567,89", "1,234,567.89", "1.23.456", "1234.567,89", "12345.678,9",
    "1.234,567", "$1,234.50", "(33.52)", "1..234,5", ".234,56", "1.234,5.6",
    # Words.
    "true", "FALSE", "t", "N", "Yes", "off", "2", "yep", "NULL", "é ✓", "x" * 70,
    # Days.
    "2025-11-06", "2024-02-29", "2025-02-29", "2025-02-30", "2025-13-01", "1900-01-01", "1899-12-31", "2200-12-31", "2201-01-01",
    "9999-12-31", "0025-11-06", "25-11-06", "2025-1-6", "2025/11/06", "20251106", "2025-11-06x", "1850-05-05", "2300-01-05", "0000-00-00",
    # Days in formats.
    "31/10/2025", "3/7/2025", "31/10/25", "3/7/25", "31/10/0025", "30/02/2025", "06.11.25", "06.11.2025", "10/31/2025", "45961", "31/12/9999",
    # Moments. The zone of these files is New York: 02:30 on 2025-03-09 does not exist, 01:30 on 2025-11-02 happens twice.
    "2025-11-06T03:30", "2025-11-06 03:30:15", "2025-11-06T03:30:15.5", "2025-11-06T03:30:15.123456", "2025-11-06T03:30:15.123456789",
    "2025-11-06T03:30:15Z", "2025-11-06 03:30:15 UTC", "2025-11-06T03:30:15+01:00", "2025-11-06T03:30:15-0500", "2025-11-06 03:30:15 +09",
    "2025-11-06T23:30:15-08:00", "2025-03-09T02:30:00", "2025-03-09 01:59:59.999999", "2025-03-09T03:00:00", "2025-11-02T01:30:00",
    "2025-11-02T00:59:59", "2025-11-02T02:00:00", "2025-11-06T25:00:00", "2025-11-06T03:60:00", "2025-11-06T03", "2025-11-06T03:30:15X",
    "1969-12-31T23:59:59.9999999Z", "9999-12-31T00:00:00", "9999-12-31T23:59:59.999999", "1899-06-01T00:00:00Z", "2201-01-15T00:00:00Z",
    # Moments in formats.
    "31/10/2025 14:30", "31/10/25 14:30", "31/10/2025 14:30 UTC", "09/03/2025 02:30", "02/11/2025 01:30", "2025-07-01 12:00:00 +0200",
    "2025-07-01 12:00:00 UTC", "2025-07-01 12:00:00 GMT", "2025-07-01 12:00:00 Z", "2025-07-01 12:00:00 EDT", "2025-07-01 12:00:00 PST",
    "2025-11-02 01:30:00 EDT", "2025-11-02 01:30:00 EST", "2025-07-01 12:00:00 Europe/Berlin", "2025-07-01 12:00:00 Mars/Base",
    # Nothing.
    "", "   ",
    # Epochs.
    "1762387200", "1762387200.5", "1762387200.123456", "1762387200000", "1762387200000000", "253402214400", "-86400",
    "1762387200000000000", "1762387200123456789", "-1", "20398", "20398.0", "20398.5", "45967.4375",
]

# Amounts with what senders write around them, in the formats of `cells.AMOUNTS` and in others.
AMOUNTS = [
    "1.234,56", "€ 1.234,56", "€1.234,56", "€\u00a01.234,56", "€\u202f1.234,56", "-€ 1.234,56", "€ -1.234,56", "€-5,00", "- € 5,00",
    "1.234,56 €", "1.234,56\u00a0€", "1.234,56€", "-1.234,56 €", "1.234,56 -€", "$ 1.234,56", "USD 1.234,56", "€€ 1,00", "€ 1,00 €", "€",
    "$1,234.56", "-$1,234.56", "$-1,234.56", "$ 1,234.56", "1,234.56 $", "US$5.00", "$12.5", "$.50", "$1,23", "$--5", "+$5.00", "$1,234.56-",
    "1.234,56 EUR", "12,50EUR", "12,50 eur", "EUR 12,50", "12,50 USD", "R$ 1.234,56", "R$5,00", "R 5,00", "kr. 1.234,56", "kr 5,00", "5,00 kr.",
    "CHF 1'234.56", "CHF 1\u2019234.56", "CHF -1'234.56", "1'234.56 CHF", "CHF 12.50", "1 234,56 €", "1\u2007234,56 €", "1\u2009234,56 €",
    "(1,234.56)", "(12.50)", "12.50", "-12.50", "(-12.50)", "(12.50", "12.50)", "( 12.50 )", "((12.50))", "($1,234.56)", "$(1,234.56)",
    "($12.50)", "$ (12.50)", "($-12.50)", "(0.00)", "()", "1234.56-", "12.50-", "12.50 -", "12.50+", "-12.50-", "-12.50", "\u221212.50",
    "12.50\u2212", "£1,234.56-", "£12.50", "-£12.50", "1,234.56%", "12.5%", "12.5 %", "12.5\u00a0%", "-12.5%", "12.5%%", "%12.5", "12.5",
    "100%", "0.01%", "12.345%", "(12.5%)", "12,5 %", "1.234,56 %", "-0,5 %", "12,5%", "12.5 %", "0%", "12,34,567.89", "1,00,000",
    "99,999.5", "1,234,567.89", "1,23,45", "\u20b912,34,567.89", "\u20b9 1,00,000.00", "", "-", "n/a", "e5", "1e5", "$1e5", "٣", "$٣", "12.50 Mio",
]
# Days of spreadsheets, with and without times of day, at and around the days that are special.
SERIALS = [
    "1", "2", "58", "59", "59.75", "60", "60.5", "61", "61.25", "366", "367", "1462", "1463", "20398", "25569", "25569.5", "44562", "45658",
    "45967", "45967.0", "45967.4375", "45967.14600694444", "45967.1460069444", "45967.146012731487", "45967.999988425924", "45967.99999999999",
    "45725.10416666667", "45963.0625", "109938", "109939", "2958465", "2958466", "0", "0.5", "-1", "0.99999999999", "59.99999999999", "1e4",
    "4.5967e4", "45967,5", "abc",
]

TOKENS = [
    "0", "1", "-1", "-0", "-0.0", "2", "17850", "17850.0", "17850.00", "1e5", "1E+5", "1.785e4", "1.5", "-1.50", "19.99", "1.990", "1.999",
    "0.1", "0.30000000000000004", "1e-3", "1.0", "0.0", "9007199254740992", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "18446744073709551615", "123456789012345678901234567890", "99999999.99", "100000000",
    "1e999", "-1e999", "1e19", "20251106", "20251306", "31102025", "1762387200", "1762387200.5", "1762387200.123456", "1.7623872e9",
    "1762387200000", "1762387200000000", "-86400", "253402214400", "253402214400000", "12.50", "1234.56",
]


def texts():
    return [("text", text) for text in TEXTS]


def text_columns():
    held = texts()
    plain = pyarrow.array(TEXTS)
    bytes_ = [("bytes", text.encode()) for text in TEXTS[:-3]] + [("bytes", b"\xff\xfe"), ("bytes", b"caf\xe9"), ("bytes", b"\xc3\x28")]
    binary = pyarrow.array([value for _, value in bytes_], pyarrow.binary())
    return [
        Column("string", "string", "text", held, plain, TEXTS),
        Column("string_plain", "string (without dictionary pages)", "text", held, plain, TEXTS),
        Column("large_string", "large_string", "text", held, plain.cast(pyarrow.large_string()), TEXTS),
        Column("string_view", "string_view", "text", held, plain.cast(pyarrow.string_view()), TEXTS),
        Column("categories", "dictionary<int32, string>", "text", held, plain.dictionary_encode(), TEXTS),
        Column("binary", "binary", "binary", bytes_, binary, [value.decode("utf-8", "backslashreplace") for _, value in bytes_]),
    ]


def _integers(name, low, high, array_type, dictionary=False):
    wanted = [low, high, 0, 1, -1, 2, 42, 17850, 20251106, 20251306, 1762387200, 1762387200000, 1762387200000000, -86400, 253402214400,
              1762387200000000000, 1762387200123456789, 20398, 45967, 60, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 99999999, 100000000]
    numbers = sorted({number for number in wanted if low <= number <= high})
    array = pyarrow.array(numbers, array_type)
    return Column(name, name if not dictionary else f"dictionary<int32, {array_type}>", "integer", [("integer", n) for n in numbers],
                  array.dictionary_encode() if dictionary else array)


def amount_columns():
    held = [("text", text) for text in AMOUNTS]
    return [Column("amount", "text", "amount", held, pyarrow.array(AMOUNTS), AMOUNTS)]


def serial_columns():
    return [Column("serial", "text", "serial", [("text", text) for text in SERIALS], None, SERIALS)]


def serial_tokens():
    tokens = [text for text in SERIALS if text not in ("45967,5", "abc")]
    return [Column("serial", "number", "json_serial", [("json", token) for token in tokens], None, tokens)]


def serial_doubles():
    """As spreadsheets hold them, and as whole numbers."""
    doubles = [float(text) for text in SERIALS if text not in ("45967,5", "abc")]
    wholes = [int(number) for number in doubles]
    return [
        Column("serial", "double", "serial_float", [("float", (number, 64)) for number in doubles], pyarrow.array(doubles, pyarrow.float64())),
        Column("whole", "int64", "serial_integer", [("integer", number) for number in wholes], pyarrow.array(wholes, pyarrow.int64())),
    ]


PART_ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "+05:30", "-0800", "UTC", "Z"]


def parts_table():
    """Local times whose day, time of day and zone are in columns of their own, held and written in several ways; and the moments that they
    are in that zone, and in New York."""
    own, rows = zone("America/New_York"), []
    for text in CHANGES:
        moment = datetime.datetime.fromisoformat(text)
        local = nanos(text) // 1000
        for name in PART_ZONES:
            # What is no name of Python's has one offset.
            fixed = {"+05:30": 19_800, "-0800": -28_800, "UTC": 0, "Z": 0}.get(name)
            instant = local - fixed * 1_000_000 if fixed is not None else instant_of(local, zone(name))
            rows.append({
                "n": len(rows) + 1, "at": "2020-01-01T00:00:00Z", "day": moment.date(), "stamp": datetime.datetime.combine(moment.date(), datetime.time()),
                "day_iso": text[:10], "day_de": moment.strftime("%d.%m.%Y"), "digits": int(moment.strftime("%Y%m%d")),
                "time": moment.time(), "millis": moment.time(), "clock": text[11:], "clock_12": moment.strftime("%I:%M:%S %p"),
                "digits_of_day": moment.strftime("%H%M%S"), "local": moment, "zone": name, "in_zone": instant, "in_own": instant_of(local, own),
            })
    return rows


PART_TYPES = {"day": pyarrow.date32(), "stamp": pyarrow.timestamp("us"), "time": pyarrow.time64("us"), "millis": pyarrow.time32("ms"),
              "local": pyarrow.timestamp("ns")}


def integer_columns():
    columns = []
    for bits in (8, 16, 32, 64):
        columns.append(_integers(f"int{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, getattr(pyarrow, f"int{bits}")()))
        columns.append(_integers(f"uint{bits}", 0, 2**bits - 1, getattr(pyarrow, f"uint{bits}")()))
    columns.append(_integers("integer_categories", MIN64, MAX64, pyarrow.int64(), dictionary=True))
    nanos = [0, 1, 86_400_000_000_000]
    columns.append(Column("duration", "duration[ns] (an int64 in the file)", "integer", [("integer", n) for n in nanos],
                          pyarrow.array(nanos, pyarrow.duration("ns"))))
    return columns


def float_columns():
    nan, inf = float("nan"), float("inf")
    doubles = [0.0, -0.0, 1.0, 2.0, 17850.0, 1.5, -1.5, 19.99, 0.1, 0.1 + 0.2, 2.0**53, 2.0**53 + 2, -(2.0**53), 1e22, 1e300, 5e-324,
               1.7976931348623157e308, 20251106.0, 20251106.5, 1762387200.0, 1762387200.5, 1762387200.123456, 1762387200000.0, -86400.0,
               253402214400.0, 99999999.99, nan, inf, -inf]
    singles = [0.0, -0.0, 1.0, 17850.0, 1.5, 19.99, 0.1, 16777216.0, 16777218.0, 3.4028235e38, 1e-45, nan, inf, -inf]
    singles = [struct.unpack("f", struct.pack("f", single))[0] for single in singles]
    halves = [0.0, -0.0, 1.0, 1.5, 2048.0, 2050.0, 65504.0, nan, inf]
    return [
        Column("float64", "double", "float", [("float", (value, 64)) for value in doubles], pyarrow.array(doubles, pyarrow.float64())),
        Column("float32", "float", "float", [("float", (value, 32)) for value in singles], pyarrow.array(singles, pyarrow.float32()),
               [str(numpy.float32(value)) for value in singles]),
        Column("float16", "halffloat", "float", [("float", (value, 16)) for value in halves],
               pyarrow.array([numpy.float16(value) for value in halves], pyarrow.float16())),
    ]


def _decimals(name, make, precision, scale, numbers):
    """Those of some numbers that a decimal type holds, and its largest and smallest."""
    quantum, limit = Decimal(1).scaleb(-scale), Decimal(10) ** (precision - scale)
    with decimal.localcontext(decimal.Context(prec=90)):
        numbers = [Decimal(number) for number in numbers]
        fitting = [number for number in numbers if abs(number) < limit and number == number.quantize(quantum)]
        held = [number.quantize(quantum) for number in fitting] + [limit - quantum, quantum - limit]
    physical = f"{name.split('_')[0]}({precision},{scale})"
    return Column(name, physical, "decimal", [("decimal", number) for number in held], pyarrow.array(held, make(precision, scale)))


def decimal_columns():
    numbers = ["0", "1", "-1", "2", "17850", "1.99", "1.5", "-1.50", "19.99", "1.999", "0.001", "20251106", "1762387200", "1762387200.5",
               "1762387200.123456", "1762387200000", "9223372036854775807", "9223372036854775808", "12345678901234567.89", "1234.56"]
    return [
        _decimals("decimal32_9_2", pyarrow.decimal32, 9, 2, numbers), _decimals("decimal64_18_0", pyarrow.decimal64, 18, 0, numbers),
        _decimals("decimal128_10_2", pyarrow.decimal128, 10, 2, numbers), _decimals("decimal128_38_0", pyarrow.decimal128, 38, 0, numbers),
        _decimals("decimal128_38_10", pyarrow.decimal128, 38, 10, numbers), _decimals("decimal256_50_2", pyarrow.decimal256, 50, 2, numbers),
        _decimals("decimal256_76_20", pyarrow.decimal256, 76, 20, numbers),
    ]


def integer_decimal_columns():
    """The same, stored as Parquet's int32 and int64."""
    numbers = ["0", "1", "17850", "1.99", "-1.50", "19.99", "1234.56", "20251106"]
    return [_decimals("decimal32_9_2", pyarrow.decimal32, 9, 2, numbers), _decimals("decimal128_18_2", pyarrow.decimal128, 18, 2, numbers)]


def other_columns():
    flags = [True, False, None]
    fixed = [b"ab", b"\xff\xfe", b"42"]
    uuids = [uuid.UUID(int=0).bytes, uuid.UUID("123e4567-e89b-12d3-a456-426614174000").bytes]
    return [
        Column("bool", "bool", "boolean", [None if flag is None else ("boolean", flag) for flag in flags], pyarrow.array(flags)),
        Column("nothing", "null", "null", [None, None], pyarrow.nulls(2)),
        Column("large_binary", "large_binary", "binary", [("bytes", b"plain"), ("bytes", b"17850"), ("bytes", b"\xff")],
               pyarrow.array([b"plain", b"17850", b"\xff"], pyarrow.large_binary()), ["plain", "17850", "\\xff"]),
        Column("fixed", "fixed_size_binary(2)", "fixed", [("fixed", value) for value in fixed], pyarrow.array(fixed, pyarrow.binary(2))),
        Column("uuid", "UUID", "uuid", [("uuid", value) for value in uuids],
               pyarrow.ExtensionArray.from_storage(pyarrow.uuid(), pyarrow.array(uuids, pyarrow.binary(16)))),
        Column("list", "list<int64>", "nested", [("nested", "[1]")], pyarrow.array([[1]])),
        Column("struct", "struct<a: int64>", "nested", [("nested", "{a: 1}")], pyarrow.array([{"a": 1}])),
        Column("map", "map<string, int64>", "nested", [("nested", "{a: 1}")],
               pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64()))),
    ]


LOCALS = [
    "2025-11-06T00:00:00", "2025-11-06T03:30:15.123456", "2025-11-06T23:59:59.999999", "2025-03-09T02:30:00", "2025-03-09T01:59:59.999",
    "2025-03-09T03:00:00", "2025-11-02T01:30:00", "2025-11-02T00:59:59", "2025-11-02T02:00:00", "1970-01-01T00:00:00",
    "1969-12-31T23:59:59.999", "1900-06-01T12:00:00", "1899-06-01T12:00:00", "2200-01-15T12:00:00", "2201-01-15T12:00:00",
]
FAR_LOCALS = ["1816-03-29T05:56:08.066", "0001-01-01T00:00:00", "0025-11-06T00:00:00", "9999-12-31T00:00:00", "9999-12-31T12:00:00"]
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def nanos(text):
    moment = datetime.datetime.fromisoformat(text)
    return (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1) * 1000


def _timestamps(name, unit, tz, texts, more=()):
    per_unit = 1_000_000_000 // PER_SECOND[unit]
    units = [nanos(text) // per_unit for text in texts] + list(more)
    kind = "instant" if tz else "local"
    array = pyarrow.array(units, pyarrow.int64()).cast(pyarrow.timestamp(unit, tz))
    written = texts + [str(unit) for unit in more]
    return Column(name, f"timestamp[{unit}{', ' + tz if tz else ''}]", "timestamp", [(kind, value * per_unit) for value in units], array,
                  [text + ("Z" if tz else "") for text in written])


def time_columns():
    days = [days_of(2025, 11, 6), days_of(2024, 2, 29), 0, -1, days_of(1900, 1, 1), days_of(1899, 12, 31), days_of(2200, 12, 31),
            days_of(2201, 1, 1), days_of(9999, 12, 31), days_of(25, 11, 6), days_of(2025, 3, 9), days_of(1850, 5, 5), days_of(2300, 1, 5)]
    edges = [-(2**31), 2**31 - 1]
    shown = [str(datetime.date.fromordinal(719_163 + day)) for day in days]
    dates = pyarrow.array(days, pyarrow.date32())
    everywhere = LOCALS + FAR_LOCALS
    columns = [
        Column("date32", "date32", "date", [("date", day) for day in days], dates, shown),
        Column("date32_edges", "date32", "date", [("date", day) for day in edges], pyarrow.array(edges, pyarrow.int32()).cast(pyarrow.date32()),
               ["the first day of 32 bits", "the last day of 32 bits"]),
        Column("date64", "date64 (a date32 in the file)", "date", [("date", day) for day in days], dates.cast(pyarrow.date64()), shown),
        _timestamps("seconds", "s", None, everywhere), _timestamps("seconds_utc", "s", "UTC", everywhere),
        _timestamps("millis", "ms", None, everywhere, [MIN64, MAX64]), _timestamps("millis_utc", "ms", "UTC", everywhere, [MIN64, MAX64]),
        _timestamps("micros", "us", None, everywhere, [MIN64, MAX64]), _timestamps("micros_utc", "us", "UTC", everywhere, [MIN64, MAX64]),
        # In winter: the zone database that the reader uses changes no clocks after 2099.
        _timestamps("nanos", "ns", None, LOCALS, [MIN64 + 1, nanos("2262-01-15T12:00:00.123456") + 789, nanos("2025-11-06T03:30:15.123456") + 789, -1]),
        _timestamps("nanos_utc", "ns", "UTC", LOCALS, [MIN64 + 1, MAX64, nanos("2025-11-06T03:30:15.123456") + 789, -1]),
        _timestamps("micros_tokyo", "us", "Asia/Tokyo", everywhere),
    ]
    for unit, name in (("s", "time32"), ("ms", "time32"), ("us", "time64"), ("ns", "time64")):
        per_unit = 1_000_000_000 // PER_SECOND[unit]
        held = [0, (3 * 3600 + 30 * 60 + 15) * 1_000_000_000 + 123_456_789, DAY_US * 1000 - 1]
        units = [value // per_unit for value in held]
        whole = pyarrow.int32() if name == "time32" else pyarrow.int64()
        array = pyarrow.array(units, whole).cast(getattr(pyarrow, name)(unit))
        columns.append(Column(f"{name}_{unit}", f"{name}[{unit}]", "time", [("time", value * per_unit) for value in units], array,
                              [time_text(value * per_unit) for value in units]))
    return columns


# Moments in UTC that Spark writes as INT96. Of 9999-12-31 nanoseconds since 1970 overflow 64 bits and come out as 1816-03-29.
INT96 = [
    "2025-11-03T02:30:00", "2025-11-06T03:30:15.123456", "1970-01-01T00:00:00", "1969-12-31T23:59:59.999999", "1900-06-01T12:00:00",
    "1899-06-01T12:00:00", "2200-01-15T12:00:00", "2201-01-15T12:00:00", "2262-04-12T00:00:00", "1816-03-29T05:56:08.066277",
    "9999-12-31T12:00:00", "9999-12-31T23:59:59.999999", "2025-03-09T07:30:00", "2025-11-02T05:30:00", "2025-11-02T06:30:00",
]
NANOSECOND_INT96 = [text for text in INT96 if "1700" < text < "2262"]


def int96_column(texts):
    return Column("int96", "INT96", "timestamp", [("instant", nanos(text)) for text in texts] + [None], None,
                  [text + "Z" for text in texts] + [None])


def json_values():
    """Values of JSON other than texts, with the token that stands in the line."""
    values = [(token, ("json", token)) for token in TOKENS]
    values += [("true", ("json-boolean", True)), ("false", ("json-boolean", False)), ("null", None)]
    # Of a column that holds both, each value counts as what it is.
    values += [(f'"{text}"', ("text", text)) for text in ("17850", "17850.0", "1.5", "1e5", "true", "2025-11-06", "20251106", "1762387200000")]
    values += [("[1]", ("nested", "[1]")), ('{"a": 1}', ("nested", "{}"))]
    return values


# Local times around changes of many zones, and days that begin late, are short, or are not there at all.
CHANGES = [
    "2018-11-03T23:59:59", "2018-11-04T00:00:00", "2018-11-04T00:30:00", "2018-11-04T01:00:00", "2018-02-17T22:59:59", "2018-02-17T23:30:00",
    "2018-02-18T00:00:00", "2026-04-24T00:00:00", "2026-04-24T00:30:00", "2026-04-24T01:00:00", "2025-10-30T23:30:00", "2025-10-31T00:00:00",
    "2025-10-05T02:00:00", "2025-10-05T02:15:00", "2025-10-05T02:30:00", "2025-04-06T01:30:00", "2025-04-06T01:45:00", "2025-04-06T02:00:00",
    "2011-12-29T23:59:59", "2011-12-30T00:00:00", "2011-12-30T12:00:00", "2011-12-31T00:00:00", "2025-03-30T01:30:00", "2025-10-26T01:30:00",
    "2025-02-23T02:30:00", "2025-04-06T02:30:00", "2022-03-22T00:30:00", "2022-09-21T23:30:00", "2025-03-30T02:30:00", "2025-10-26T02:30:00",
    "2025-09-28T03:00:00", "2025-04-06T03:15:00", "2006-10-29T00:00:30", "2006-04-02T00:00:30", "2006-10-28T23:30:00", "2025-03-09T02:30:00",
    "2025-11-02T01:30:00", "1971-02-14T12:00:00",
]
ZONES = [
    "Africa/Cairo", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Europe/Dublin", "Europe/London", "Africa/Casablanca",
    "Asia/Tehran", "Antarctica/Troll", "Pacific/Chatham", "America/St_Johns", "Asia/Tokyo",
]


def _moment(text, pattern):
    return datetime.datetime.fromisoformat(text).strftime(pattern)


def change_texts():
    """The local times as text, in ISO 8601 and in a pattern, and their days."""
    said = {"local": CHANGES, "local_pattern": [_moment(text, "%d/%m/%Y %H:%M:%S") for text in CHANGES],
            "day": [text[:10] for text in CHANGES], "day_pattern": [_moment(text, "%d/%m/%Y") for text in CHANGES]}
    return [Column(name, "text", name, [("text", text) for text in texts], None, texts) for name, texts in said.items()]


def change_columns():
    """The same as Parquet types."""
    days = [nanos(text) // (DAY_US * 1000) for text in CHANGES]
    dates = Column("date32", "date32", "day", [("date", day) for day in days], pyarrow.array(days, pyarrow.int32()).cast(pyarrow.date32()),
                   [text[:10] for text in CHANGES])
    columns = [_timestamps(f"changes_{unit}", unit, None, CHANGES) for unit in ("ms", "us", "ns")] + [dates]
    for column in columns[:3]:
        column.family = "local"
    return columns


def duckdb_columns():
    """What DuckDB writes that pyarrow does not, or otherwise. The array is the SQL of the values."""
    moments = ["2025-11-06T03:30:15.123456", "2025-03-09T02:30:00", "9999-12-31T12:00:00"]
    micros = [nanos(text) for text in moments]
    sql = lambda values, type_: [f"'{value}'::{type_}" for value in values]
    uuids = ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    decimals = ["1.99", "17850.00", "-1.50"]
    held = [("decimal", Decimal(text)) for text in decimals]
    return [
        Column("uuid", "UUID", "uuid", [("uuid", uuid.UUID(text).bytes) for text in uuids], sql(uuids, "uuid")),
        Column("interval", "INTERVAL", "interval", [("interval", "1 day")] * 3, ["interval 1 day"] * 3),
        Column("enum", "ENUM", "text", [("text", "17850"), ("text", "true"), ("text", "x")], sql(["17850", "true", "x"], "enum('17850', 'true', 'x')")),
        Column("json", "JSON", "text", [("text", "1.5"), ("text", "true"), ("text", '{"a": 1}')], sql(["1.5", "true", '{"a": 1}'], "json")),
        Column("hugeint", "HUGEINT (a double in the file)", "float", [("float", (value, 64)) for value in (17850.0, 1e20, 0.0)],
               sql([17850, 10**20, 0], "hugeint"), ["17850", "100000000000000000000", "0"]),
        Column("small_decimal", "DECIMAL(7,2) (an int32)", "decimal", held, sql(decimals, "decimal(7,2)")),
        Column("moment", "TIMESTAMP WITH TIME ZONE", "timestamp", [("instant", value) for value in micros],
               [f"'{text}+00'::timestamptz" for text in moments], [text + "Z" for text in moments]),
        Column("naive", "TIMESTAMP", "timestamp", [("local", value) for value in micros], sql(moments, "timestamp"), moments),
        Column("time", "TIME", "time", [("time", 0), ("time", 12_615_500_000_000), ("time", DAY_US * 1000 - 1000)],
               sql(["00:00:00", "03:30:15.5", "23:59:59.999999"], "time"), ["00:00:00", "03:30:15.5", "23:59:59.999999"]),
    ]


def spark_columns():
    """What Spark writes by default. The array is the SQL of the values."""
    moments = ["2025-11-06T03:30:15.123456", "2025-03-09T02:30:00", "9999-12-31T12:00:00"]
    sql = lambda values, type_: [f"cast('{value}' as {type_})" for value in values]
    columns = []
    for name, type_, numbers in (("byte", "tinyint", [-128, 0, 127]), ("short", "smallint", [-32768, 1, 32767]),
                                 ("int", "int", [-(2**31), 20251106, 2**31 - 1]), ("long", "bigint", [MIN64, 17850, MAX64])):
        columns.append(Column(name, type_, "integer", [("integer", number) for number in numbers], sql(numbers, type_)))
    for name, type_, numbers in (("decimal9", "decimal(9,2)", ["1.99", "17850.00", "-1.50"]), ("decimal18", "decimal(18,0)", ["0", "1", "17850"]),
                                 ("decimal38", "decimal(38,10)", ["1.9900000000", "17850.0000000000", "0.0000000001"])):
        columns.append(Column(name, type_, "decimal", [("decimal", Decimal(number)) for number in numbers], sql(numbers, type_)))
    texts = ["17850.0", "true", "2025-11-06"]
    doubles = [("float", (value, 64)) for value in (17850.0, 1.5, float("nan"))]
    return columns + [
        Column("double", "double", "float", doubles, sql(["17850.0", "1.5", "NaN"], "double")),
        Column("boolean", "boolean", "boolean", [("boolean", True), ("boolean", False), None], ["true", "false", "cast(null as boolean)"]),
        Column("text", "string", "text", [("text", text) for text in texts], sql(texts, "string")),
        Column("bytes", "binary", "binary", [("bytes", text.encode()) for text in texts], sql(texts, "binary"), texts),
        Column("day", "date", "date", [("date", nanos(text) // (DAY_US * 1000)) for text in moments], sql([text[:10] for text in moments], "date"),
               [text[:10] for text in moments]),
        Column("moment", "timestamp", "timestamp", [("instant", nanos(text)) for text in moments], sql(moments, "timestamp"),
               [text + "Z" for text in moments]),
        Column("local", "timestamp_ntz", "timestamp", [("local", nanos(text)) for text in moments], sql(moments, "timestamp_ntz"), moments),
        Column("list", "array<int>", "nested", [("nested", "[1]")] * 3, ["array(1)"] * 3),
    ]


def polars_columns():
    return [
        Column("category", "Categorical", "text", [("text", "17850"), ("text", "true"), None], None),
        Column("decimal", "Decimal(10,2) (an int64)", "decimal", [("decimal", Decimal("1.99")), ("decimal", Decimal("17850.00")), None], None),
        Column("unsigned", "UInt64", "integer", [("integer", 2**64 - 1), ("integer", 17850), None], None),
        Column("local", "Datetime(us)", "timestamp", [("local", nanos("2025-03-09T02:30:00")), ("local", nanos("2025-11-02T01:30:00")), None], None,
               ["2025-03-09T02:30:00", "2025-11-02T01:30:00", None]),
        Column("nothing", "Null", "null", [None, None, None], None),
    ]
