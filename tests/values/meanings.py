"""What a value of an extract means under a declared type: the rules of docs/values.md, written down a second time and independently.

A physical value is a pair of its kind and what it holds. A verdict is "=" and the value as text, "!" and the reason for which it is
rejected, None for null, "?" where nothing is promised, or a list of verdicts of which each is right.
"""

import dataclasses
import math
import re
import struct
import uuid
from decimal import Decimal
from fractions import Fraction

import patterns
from local_time import DAY_US, civil, date_text, day_of, days_of, first_moment_of, instant_of, local_text, moment_text, time_text

REASONS = {
    "string": "not-text", "integer": "not-an-integer", "decimal": "not-a-decimal", "double": "not-a-number",
    "boolean": "not-a-boolean", "date": "not-a-date", "timestamp": "not-a-timestamp",
}
YEARS = (1900, 2200)
OPEN_END = days_of(9999, 12, 31)
LAST_CHANGE = days_of(2099, 12, 31)
# From where on a floating-point number of so many bits stands for several whole numbers.
MAX_EXACT = {64: 2**53, 32: 2**24, 16: 2**11}
# Days from 1970 that every calendar can name; microseconds of 64 bits hold somewhat more.
CALENDAR_DAYS = 90_000_000
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": Decimal("0.001"), "%s": 1_000_000}
# Days of spreadsheets: the day before the first, and the number of the day that never was.
SERIALS = {"serial_1900": (days_of(1899, 12, 31), 60), "serial_1904": (days_of(1904, 1, 1), None)}
# Words that senders write where they have no value; in columns that are not text these are null.
NULL_VALUES = {"null", "undefined", "nan", "n/a", "none", "\\n", "-", "0000-00-00"}
TRUE, FALSE = {"true", "t", "yes", "y", "on", "1"}, {"false", "f", "no", "n", "off", "0"}

# Columns of a Parquet file that can never be of a declared type, whatever their values.
REFUSED = {
    "nested": set(REASONS), "interval": set(REASONS),
    "boolean": {"integer", "decimal", "double", "date", "timestamp"},
    "date": {"integer", "decimal", "double", "boolean"}, "timestamp": {"integer", "decimal", "double", "boolean"},
    "time": set(REASONS) - {"string"}, "uuid": set(REASONS) - {"string"}, "fixed": set(REASONS),
}


@dataclasses.dataclass(frozen=True)
class Declared:
    """What a contract says of a column."""

    type: str
    format: str | None = None
    min: str | None = None
    max: str | None = None

    @property
    def base(self):
        return self.type.split("(")[0]

    @property
    def scale(self):
        return int(self.type.rstrip(")").split(",")[1])

    @property
    def precision(self):
        return int(self.type.split("(")[1].split(",")[0])


class Rejected(Exception):
    """A value cannot be of the declared type."""


class Unsettled(Exception):
    """Nothing is promised of a value but that the run goes on."""


def refused(family, declared):
    """Whether a Parquet column of this family refuses the run."""
    if family in ("integer", "float", "decimal") and declared.base in ("date", "timestamp"):
        return declared.format is None
    return declared.base in REFUSED.get(family, ())


def verdict(value, declared, tz):
    """What a value is read as."""
    if value is None:
        return None
    kind, held = value
    if kind == "nested":
        return "!nested-value"
    text = {"text": lambda: held, "bytes": lambda: _utf8(held)}.get(kind, lambda: None)()
    if text is not None and not text.strip():
        # Whether nothing but spaces is a text is not settled, and it is no value of any other type.
        return [None, "=" + text] if declared.base == "string" else [None, f"!{REASONS[declared.base]}"]
    if text is not None and declared.base != "string":
        if text.strip().lower() in NULL_VALUES:
            return [None, f"!{REASONS[declared.base]}"]
        if text != text.strip() and declared.base != "integer":
            # Only whole numbers are promised to be trimmed.
            return _either(_verdict(("text", text.strip()), declared, tz), f"!{REASONS[declared.base]}")
    return _verdict(value, declared, tz)


def _either(*verdicts):
    """Several verdicts as one."""
    distinct = list(dict.fromkeys(verdicts))
    return distinct if len(distinct) > 1 else distinct[0]


def _verdict(value, declared, tz):
    try:
        return "=" + READERS[declared.base](value, declared, tz)
    except Unsettled:
        return "?"
    except Rejected as rejected:
        return _either(*(f"!{reason}" for reason in (str(rejected) or REASONS[declared.base]).split("|")))


def _in_calendar(kind, held):
    return 0 < civil(held if kind == "date" else held // (DAY_US * 1000))[0] < 10_000


def _utf8(held):
    try:
        return held.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _text_of(kind, held):
    """A text as it stands, and numbers by their digits; none where there is no text."""
    if kind == "text":
        return held
    if kind == "bytes":
        return _utf8(held)
    number = exact(kind, held)
    return _digits(number) if number is not None and number == number.to_integral_value() else None


def _digits(number):
    return str(int(number))


def exact(kind, held):
    """The exact number that a value that is a number stands for; of floats, that of their shortest text."""
    if kind == "json":
        return Decimal(held)
    if kind == "integer":
        return Decimal(held)
    if kind == "decimal":
        return held
    if kind == "float" and math.isfinite(held[0]):
        return Decimal(repr(held[0])) if held[1] == 64 else Decimal(shortest_32(held[0]))
    return None


def shortest_32(value):
    """The shortest text that is this float of 32 bits."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == value:
            return text
    raise AssertionError(value)


def read_string(value, declared, tz):
    kind, held = value
    if kind == "text":
        return held
    if kind == "bytes":
        text = _utf8(held)
        if text is None:
            raise Rejected
        return text
    if kind == "uuid":
        return str(uuid.UUID(bytes=held))
    if kind in ("boolean", "json-boolean"):
        return "true" if held else "false"
    if kind in ("date", "local", "instant") and not _in_calendar(kind, held):
        raise Unsettled
    if kind == "date":
        return date_text(held)
    if kind == "time":
        return time_text(held)
    if kind == "local":
        return local_text(held)
    if kind == "instant":
        return local_text(held) + "Z"
    number = exact(kind, held)
    if number is None:
        raise Rejected
    if kind == "float" and abs(held[0]) >= MAX_EXACT[held[1]]:
        raise Rejected
    if number == number.to_integral_value():
        if number.adjusted() > 100:
            # A number of a thousand digits is no identifier: nothing is promised.
            raise Unsettled
        return _digits(number)
    if kind == "decimal":
        return f"{number:f}"
    raise Rejected


def read_integer(value, declared, tz):
    kind, held = value
    if kind in ("text", "bytes"):
        text = held if kind == "text" else _utf8(held)
        if text is None:
            raise Rejected
        number = patterns.formatted_number(text.strip(" "), declared.format)
        if number is None or not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", number, re.ASCII):
            raise Rejected
        number = Decimal(number)
    else:
        number = exact(kind, held)
    if number is None or number != number.to_integral_value() or (kind == "float" and abs(held[0]) >= MAX_EXACT[held[1]]):
        raise Rejected
    if not -(2**63) <= number < 2**63:
        raise Rejected
    return _digits(number)


def _number(value, declared):
    kind, held = value
    if kind in ("text", "bytes"):
        text = held if kind == "text" else _utf8(held)
        text = None if text is None else patterns.formatted_number(text, declared.format)
        if text is None or not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", text, re.ASCII):
            raise Rejected
        return Decimal(text)
    number = exact(kind, held)
    if number is None:
        raise Rejected
    return number


def read_decimal(value, declared, tz):
    number = _number(value, declared)
    if number == 0:
        return f"{Decimal(0):.{declared.scale}f}"
    sign, digits, exponent = number.as_tuple()
    unscaled = int("".join(map(str, digits)))
    shift = exponent + declared.scale
    if shift > declared.precision:
        raise Rejected
    if shift < 0:
        if -shift > len(digits) or unscaled % 10**-shift:
            raise Rejected
        unscaled //= 10**-shift
    else:
        unscaled *= 10**shift
    if unscaled >= 10**declared.precision:
        raise Rejected
    whole, fraction = divmod(unscaled, 10**declared.scale)
    return f"{'-' if sign else ''}{whole}.{fraction:0{declared.scale}}"


def read_double(value, declared, tz):
    kind, held = value
    if kind == "float":
        if not math.isfinite(held[0]):
            raise Rejected
        return repr(held[0])
    number = _number(value, declared)
    nearest = float(number)
    if math.isinf(nearest):
        raise Rejected
    if kind == "integer" and int(nearest) != held:
        raise Rejected
    if kind == "decimal" and Decimal(repr(nearest)) != number:
        raise Rejected
    return repr(nearest)


def read_boolean(value, declared, tz):
    kind, held = value
    if kind in ("boolean", "json-boolean"):
        return "true" if held else "false"
    if kind in ("text", "bytes"):
        text = held if kind == "text" else _utf8(held)
        word = (text or "").lower()
        if word not in TRUE | FALSE:
            raise Rejected
        return "true" if word in TRUE else "false"
    number = exact(kind, held)
    if number not in (0, 1):
        raise Rejected
    return "true" if number == 1 else "false"


def _time(value, declared, tz):
    """A day in days since 1970, or a moment in microseconds since then."""
    kind, held = value
    if kind == "date":
        return "day", held
    if kind == "local":
        return "local", held // 1000
    if kind == "instant":
        return "instant", held // 1000
    if declared.format in SERIALS or declared.format == "epoch_days":
        return _counted_day(kind, held, declared)
    if declared.format in EPOCHS:
        if kind in ("text", "bytes"):
            text = (held if kind == "text" else _utf8(held)) or ""
            if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text, re.ASCII):
                raise Rejected
            number = Decimal(text)
        else:
            number = exact(kind, held)
        if number is None:
            raise Rejected
        return "instant", math.floor(number * EPOCHS[declared.format])
    text = _text_of(kind, held)
    if text is None or (declared.format is None and kind not in ("text", "bytes")):
        raise Rejected
    read = patterns.iso(text) if declared.format is None else patterns.strftime(text, declared.format, tz)
    if read is None:
        raise Rejected
    return read


def _counted_day(kind, held, declared):
    """A day, or a local time of it to the millisecond, that a number counts."""
    if kind in ("text", "bytes"):
        text = (held if kind == "text" else _utf8(held)) or ""
        fraction = "0*" if declared.format == "epoch_days" else "[0-9]+"
        if not re.fullmatch(rf"[+-]?[0-9]+(\.{fraction})?", text, re.ASCII):
            raise Rejected
        number = Decimal(text)
    else:
        number = exact(kind, held)
    if number is None or number.adjusted() > 100:
        raise Rejected("year-out-of-range|" + REASONS[declared.base]) if number is not None else Rejected
    number = Fraction(number)
    if declared.format == "epoch_days":
        if number.denominator != 1:
            raise Rejected
        return "day", int(number)
    before, no_day = SERIALS[declared.format]
    millis = math.floor(number * 86_400_000 + Fraction(1, 2))
    day, of_day = divmod(millis, 86_400_000)
    if day < (1 if no_day else 0) or day == no_day:
        raise Rejected
    if no_day and day > no_day:
        day -= 1
    return "local", (before + day) * DAY_US + of_day * 1000


def _in_years(day, declared, utc_day=None):
    """Refuses years that nobody means. The open end of time is always readable, as a day of the zone or of UTC."""
    if OPEN_END == utc_day and not declared.max:
        return
    # Far beyond the calendar the value cannot be held at all, which is as good a reason.
    beyond = f"year-out-of-range|{REASONS[declared.base]}"
    if abs(day) > CALENDAR_DAYS:
        raise Rejected(beyond + ("|below-minimum" if declared.min else "") + ("|above-maximum" if declared.max else ""))
    if declared.min and day < days_of(*map(int, declared.min.split("-"))):
        raise Rejected("year-out-of-range|below-minimum")
    if declared.max and day > days_of(*map(int, declared.max.split("-"))):
        raise Rejected("above-maximum" if day == OPEN_END else "year-out-of-range|above-maximum")
    year = civil(day)[0]
    lowest = int(declared.min[:4]) if declared.min else YEARS[0]
    highest = int(declared.max[:4]) if declared.max else YEARS[1]
    if not lowest <= year <= highest and day != OPEN_END:
        raise Rejected("year-out-of-range" if 0 < year < 10_000 else beyond)


def read_date(value, declared, tz):
    shape, held = _time(value, declared, tz)
    day = {"day": lambda: held, "local": lambda: held // DAY_US, "instant": lambda: day_of(held, tz)}[shape]()
    _in_years(day, declared, held // DAY_US if shape == "instant" else None)
    return date_text(day)


def read_timestamp(value, declared, tz):
    shape, held = _time(value, declared, tz)
    if shape == "day":
        if declared.format == "epoch_days" and held > LAST_CHANGE:
            # The zone database that the reader uses changes no clocks after 2099.
            raise Unsettled
        _in_years(held, declared)
        return moment_text(first_moment_of(held, tz))
    moment = instant_of(held, tz) if shape == "local" else held
    _in_years(held // DAY_US if shape == "local" else day_of(held, tz), declared, moment // DAY_US)
    return moment_text(moment)


READERS = {
    "string": read_string, "integer": read_integer, "decimal": read_decimal, "double": read_double,
    "boolean": read_boolean, "date": read_date, "timestamp": read_timestamp,
}


def placed(value, declared, tz, as_of):
    """Where a row goes whose event time is a value: "kept", "out" of window, or "!" and the reason for which it is rejected."""
    read = verdict(value, declared, tz)
    read = read if isinstance(read, list) else [read]
    try:
        shape, held = _time(value, declared, tz) if value else ("missing", None)
    except Rejected:
        shape = "missing"
    if shape != "missing":
        day = {"day": lambda: held, "local": lambda: held // DAY_US, "instant": lambda: day_of(held, tz)}[shape]()
        if day >= as_of:
            # Of what no timestamp can hold it may also be said that it is none.
            return "out" if day <= CALENDAR_DAYS else ["out", "!year-out-of-range", f"!{REASONS[declared.base]}"]
    return _either(*("!missing-value" if one is None else "kept" if one[0] == "=" else one for one in read))
