"""How extracts write days, moments and numbers: ISO 8601, strftime patterns and separators."""

import re
import zoneinfo

import local_time
from local_time import DAY_US, days_of

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?: ?(Z|UTC|[+-]\d{2}(?::?\d{2})?))?)?", re.ASCII
)
_SPACES = " \u00a0\u202f"
_PARTS = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})", "H": r"(?P<H>\d{1,2})",
    "M": r"(?P<M>\d{1,2})", "S": r"(?P<S>\d{1,2})", "z": r"(?P<z>[+-]\d{2}:?\d{2})", "Z": r"(?P<Z>\S+)",
}


def _offset_us(text):
    digits = text[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59 or int(digits[:2]) > 23:
        return None
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return minutes * 60_000_000 * (-1 if text[0] == "-" else 1)


def _of_day(hour, minute, second, fraction=""):
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        return None
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1_000_000 + int(fraction.ljust(6, "0")[:6])


def iso(text):
    """A day, a local time or a moment by ISO 8601."""
    found = _ISO.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    # The year 0000 is one that ISO 8601 has and Python has not; it is out of range anyway.
    days = days_of(int(year), int(month), int(day))
    if days is None:
        return None
    if hour is None:
        return "day", days
    of_day = _of_day(hour, minute, second or 0, fraction or "")
    if of_day is None:
        return None
    local = days * DAY_US + of_day
    if offset is None:
        return "local", local
    if offset in ("Z", "UTC"):
        return "instant", local
    shift = _offset_us(offset)
    return None if shift is None else ("instant", local - shift)


def strftime(text, pattern, tz):
    """A day, a local time or a moment by a pattern."""
    pattern, utc = re.subn(r"(?<!%)(Z| UTC| GMT)$", lambda found: found[0], pattern)
    regex = re.sub(r"%(.)|([^%]+)", lambda found: _PARTS[found[1]] if found[1] else re.escape(found[2]), pattern)
    found = re.fullmatch(regex, text, re.ASCII)
    if not found:
        return None
    part = found.groupdict()
    year = int(part["Y"]) if part.get("Y") else int(part["y"]) + (2000 if int(part["y"]) < 70 else 1900)
    days = days_of(year, int(part["m"]), int(part["d"]))
    if days is None:
        return None
    if "H" not in part:
        return "day", days
    of_day = _of_day(part["H"], part.get("M") or 0, part.get("S") or 0)
    if of_day is None:
        return None
    local = days * DAY_US + of_day
    if part.get("z"):
        return "instant", local - _offset_us(part["z"])
    if part.get("Z"):
        return _named_zone(local, part["Z"], tz)
    return ("instant" if utc else "local"), local


def _named_zone(local, name, tz):
    if name in ("UTC", "GMT", "Z"):
        return "instant", local
    # An abbreviation of the pipeline's own zone, which must be in force then.
    for offset in local_time.offsets_of_local(local, tz):
        if abbreviation(local - offset, tz) == name:
            return "instant", local - offset
    if name in zoneinfo.available_timezones():
        return "instant", local_time.instant_of(local, local_time.zone(name))
    return None


def abbreviation(instant_us, tz):
    import datetime

    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=instant_us)
    return moment.astimezone(tz).tzname()


def formatted_number(text, written):
    """A number in the format that 1234.56 is written in, as a plain number; the text itself without a format."""
    if written is None:
        return text
    found = re.fullmatch(r"1(.?)234(.)56", written)
    thousands, point = found.groups()
    number = re.fullmatch(rf"([+-]?)([^{re.escape(point)}]*)(?:{re.escape(point)}([0-9]+))?", text, re.ASCII)
    if not number:
        return None
    sign, whole, fraction = number.groups()
    separators = _SPACES if thousands == " " else thousands
    if re.fullmatch(r"[0-9]+", whole, re.ASCII):
        digits = whole
    elif separators and re.fullmatch(rf"[0-9]{{1,3}}(?:[{re.escape(separators)}][0-9]{{3}})+", whole, re.ASCII):
        digits = re.sub(r"[^0-9]", "", whole)
    else:
        return None
    return f"{sign}{digits}" + (f".{fraction}" if fraction else "")
