"""How extracts write days, moments and numbers: ISO 8601, strftime patterns and separators."""

import datetime
import re
import zoneinfo
from decimal import Decimal

import local_time
from local_time import DAY_US, days_of

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?: ?(Z|UTC|[+-]\d{2}(?::?\d{2})?))?)?", re.ASCII
)
_SPACES = " \u00a0\u2007\u2009\u202f"
_SIGNS = "-\u2212+"
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
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=instant_us)
    return moment.astimezone(tz).tzname()


def formatted_number(text, written):
    """A number in the format that 1234.56 is written in, as a plain number; the text itself without a format."""
    if written is None:
        return text
    head, digits, tail = re.fullmatch(r"([^0-9]*)([0-9].*[0-9])([^0-9]*)", written).groups()
    if not head and not tail:
        return _digits(text, digits)
    # What stands around the digits is taken off piece by piece; each piece may be there once.
    point = digits[-3]
    number = re.fullmatch(rf"((?:.*?[^0-9])??)((?:[0-9]|{re.escape(point)}[0-9])(?:.*[0-9])?)([^0-9]*)", text, re.ASCII | re.DOTALL)
    if not number:
        return None
    before, core, behind = number.groups()
    # A currency with a point in it ends before the number begins.
    before, core = (before + core[0], core[1:]) if head.strip().endswith(core[0]) else (before, core)
    is_percent = "%" in head + tail
    sides = []
    for around, allowed in ((before, head), (behind, tail)):
        name = "".join(c for c in allowed if c not in _SPACES + _SIGNS + "()%")
        found = {"sign": 0, "bracket": 0, "name": 0, "percent": 0}
        rest = around
        while rest := rest.lstrip(_SPACES):
            if name and rest.startswith(name):
                piece, rest = "name", rest[len(name):]
            elif rest[0] in _SIGNS and (allowed is head or re.search(f"[{_SIGNS}]", tail)):
                found["minus"] = rest[0] != "+"
                piece, rest = "sign", rest[1:]
            elif rest[0] == ("(" if allowed is head else ")") and "(" in head:
                piece, rest = "bracket", rest[1:]
            elif rest[0] == "%" and "%" in allowed:
                piece, rest = "percent", rest[1:]
            else:
                return None
            found[piece] += 1
        sides.append(found)
    ahead, after = sides
    total = {piece: ahead[piece] + after[piece] for piece in ("sign", "name", "percent")}
    brackets = (ahead["bracket"], after["bracket"])
    if max(total.values()) > 1 or brackets not in ((0, 0), (1, 1)) or (brackets[0] and total["sign"]) or total["percent"] != is_percent:
        return None
    plain = _digits(core, digits)
    if plain is None or plain[0] in "+-":
        return None
    is_negative = brackets[0] or ahead.get("minus") or after.get("minus")
    if is_percent:
        plain = f"{Decimal(plain).scaleb(-2):f}"
    return ("-" if is_negative else "") + plain


def _digits(text, written):
    """Digits with the separators that 1234.56, or 1234567.89 where groups have two digits, is written with."""
    indian = re.fullmatch(r"12(.)34(?:\1)567(.)89", written)
    thousands, point = (indian or re.fullmatch(r"1(.?)234(.)56", written)).groups()
    number = re.fullmatch(rf"([+-]?)([^{re.escape(point)}]*)(?:{re.escape(point)}([0-9]+))?", text.replace("\u2212", "-"), re.ASCII)
    if not number:
        return None
    sign, whole, fraction = number.groups()
    separators = _SPACES if thousands == " " else "'\u2019" if thousands == "'" else thousands
    groups = r"[0-9]{{1,2}}(?:[{0}][0-9]{{2}})*[{0}][0-9]{{3}}" if indian else r"[0-9]{{1,3}}(?:[{0}][0-9]{{3}})+"
    if re.fullmatch(r"[0-9]+", whole, re.ASCII):
        digits = whole
    elif whole == "" and fraction:
        digits = "0"
    elif separators and re.fullmatch(groups.format(re.escape(separators)), whole, re.ASCII) and whole[0] != "0":
        digits = re.sub(r"[^0-9]", "", whole)
    else:
        return None
    return f"{sign}{digits}" + (f".{fraction}" if fraction else "")
