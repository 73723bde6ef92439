"""Local time by the rule that docs/values.md states, from Python's zoneinfo and the tzdata package alone.

A local time that happens twice is the earlier of the two moments. One that does not exist is read with the offset from before the gap.
A day given alone is its first moment.
"""

import datetime
import zoneinfo

EPOCH = datetime.datetime(1970, 1, 1)
DAY_US = 86_400_000_000
# What datetime can hold; beyond it a zone's offset is that of the nearest year that it can.
FIRST_US = (datetime.datetime(2, 1, 1) - EPOCH) // datetime.timedelta(microseconds=1)
LAST_US = (datetime.datetime(9998, 12, 31) - EPOCH) // datetime.timedelta(microseconds=1)
YEAR_9998_US = 366 * DAY_US

# The tables of the tzdata package, not those of the machine.
zoneinfo.reset_tzpath(to=[])


def zone(name):
    return zoneinfo.ZoneInfo(name)


def _clamped(micros):
    while micros > LAST_US:
        micros -= YEAR_9998_US
        if micros > LAST_US + 400 * YEAR_9998_US:
            return LAST_US
    return max(micros, FIRST_US)


def _micros(delta):
    return delta // datetime.timedelta(microseconds=1)


def offset_at(instant_us, tz):
    """The offset from UTC in force at a moment, in microseconds."""
    moment = EPOCH.replace(tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=_clamped(instant_us))
    return _micros(moment.astimezone(tz).utcoffset())


def offsets_of_local(local_us, tz):
    """The offsets that a local time may have: equal where it happens once; the first is the one before a change."""
    local = (EPOCH + datetime.timedelta(microseconds=_clamped(local_us))).replace(tzinfo=tz)
    return tuple(_micros(local.replace(fold=fold).utcoffset()) for fold in (0, 1))


def instant_of(local_us, tz):
    """The moment that a local time means."""
    return local_us - offsets_of_local(local_us, tz)[0]


def first_moment_of(day, tz):
    """The first moment of a day, given as days since 1970."""
    midnight = day * DAY_US
    before, after = offsets_of_local(midnight, tz)
    if after <= before:
        return midnight - before
    # Midnight is in a gap, and the day begins where the gap ends: the first moment between these two with the later offset.
    early, late = midnight - after, midnight - before
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (early, middle) if offset_at(middle, tz) == after else (middle, late)
    return early if offset_at(early, tz) == after else late


def day_of(instant_us, tz):
    """The local day of a moment, as days since 1970."""
    return (instant_us + offset_at(instant_us, tz)) // DAY_US


def civil(day):
    """Year, month and day of a number of days since 1970, in the proleptic Gregorian calendar (Howard Hinnant's algorithm)."""
    day += 719_468
    era, of_era = divmod(day, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    number = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (month <= 2), month, number


def days_of(year, month, day):
    """Days since 1970; none where the calendar has no such day."""
    try:
        return (datetime.date(year, month, day) - datetime.date(1970, 1, 1)).days
    except ValueError:
        return None


def date_text(day):
    year, month, number = civil(day)
    return f"{year:+}-{month:02}-{number:02}" if year > 9999 else f"{year:04}-{month:02}-{number:02}"


def time_text(of_day_ns):
    seconds, fraction = divmod(of_day_ns, 1_000_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + (f".{fraction:09}".rstrip("0") if fraction else "")


def moment_text(micros):
    """A moment in UTC."""
    return local_text(micros * 1000) + "Z"


def local_text(nanos):
    day, of_day = divmod(nanos, DAY_US * 1000)
    return f"{date_text(day)}T{time_text(of_day)}"
