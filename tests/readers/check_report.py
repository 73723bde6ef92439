"""Reads the report of a publication as a reader of the page does, and compares its tables with the published Parquet files.

    check_report.py DESTINATION REPORT

DESTINATION has the shipped project's publications, and REPORT is the page of the latest one. The page is parsed with Python's own HTML
parser, and the files are read with DuckDB. Numbers are those that people see: rounded, with separators, and "fewer than 10" of few.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import duckdb

FEWER = "fewer than 10"


class Tables(HTMLParser):
    """The tables of a page in order: the section and the heading that they stand under, and their rows of cells as text."""

    def __init__(self):
        super().__init__()
        self.section = self.heading = None
        self.tables, self.cell, self.in_heading = [], None, False

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "section":
            self.section, self.heading = attributes.get("id"), ""
        elif tag in ("h2", "h3"):
            self.in_heading, self.heading = True, ""
        elif tag == "table":
            self.tables.append({"section": self.section, "heading": self.heading, "rows": []})
        elif tag == "tr" and self.tables:
            self.tables[-1]["rows"].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("h2", "h3"):
            self.in_heading = False
        elif tag in ("td", "th") and self.cell is not None:
            self.tables[-1]["rows"][-1].append(" ".join(self.cell.split()))
            self.cell = None

    def handle_data(self, data):
        if self.in_heading:
            self.heading += data
        if self.cell is not None:
            self.cell += data


def plain(name):
    """A name without what titles change: `about_to_sleep` and `About to sleep` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def place(name):
    """Where somebody was or is; in sets that overlap, who is in none of the segments between which it is told is not in that one."""
    return "innone" if plain(name) in ("innone", "notinit") else plain(name)


def number(text):
    """A number as people read it, without currency and separators; none where it says that it is of few, or not known."""
    found = re.fullmatch(r"[^\d-]?(-?[\d,]+(?:\.\d+)?)%?", text)
    return float(found.group(1).replace(",", "")) if found else None


class Check:
    def __init__(self, destination, page):
        self.db = duckdb.connect()
        tables = Path(destination)
        self.days = sorted(path.name.removeprefix("as_of=") for path in (tables / "customers").glob("as_of=*"))
        for table in ("customers", "segment_membership", "segment_changes"):
            files = [str(tables / table / f"as_of={day}" / f"{table}.parquet") for day in self.days]
            self.db.execute(f"create view {table} as select * from read_parquet({files}, hive_partitioning = true)")
        self.today = self.days[-1]
        parser = Tables()
        parser.feed(Path(page).read_text())
        self.tables, self.compared, self.wrong = parser.tables, 0, []

    def ask(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def under(self, section, *columns):
        """The tables of a section whose first row has some cells."""
        in_section = [table for table in self.tables if table["section"] == section]
        found = [table for table in in_section if table["rows"] and all(column in table["rows"][0] for column in columns)]
        assert found, f"no table of the section {section} has the columns {columns}"
        return found

    def same(self, what, shown, meant, minimum=0):
        """Compares what is shown with what is meant, rounded to a whole as the page does."""
        self.compared += 1
        meant = float(meant or 0)
        if shown == FEWER:
            is_right = 0 < meant < 10
        else:
            read = number(shown)
            is_right = read is not None and abs(read - meant) <= 0.5
        if not is_right:
            self.wrong.append(f"{what}: the page says {shown!r}, the files {meant}")

    def headline(self):
        sums = self.ask("""select strftime(as_of, '%d %B %Y'), count(*), count(*) filter (frequency > 0), sum(monetary),
            count(*) filter (can_email), count(*) filter (can_sms), count(*) filter (can_post) from customers group by 1""")
        meant = {row[0].lstrip("0"): row[1:] for row in sums}
        rows = self.under("headline", "Day", "Customers")[0]["rows"]
        assert len(rows) == len(self.days) + 1, "every day of the trend is told"
        for row in rows[1:]:
            for column, shown, value in zip(rows[0][1:], row[1:], meant[row[0]], strict=True):
                self.same(f"{column} of {row[0]}", shown, value)

    def segments(self):
        sizes = {(plain(name), plain(segment)): rest for name, segment, *rest in self.ask("""
            select segment_set, segment, count(*), sum(monetary) from segment_membership join customers using (customer_id, as_of)
            where as_of = ?::date group by all""", self.today)}
        by_day = {(plain(name), plain(segment), day): size for name, segment, day, size in self.ask("""
            select segment_set, segment, strftime(as_of, '%d %b %Y'), count(*) from segment_membership group by all""")}
        known = set()
        for table in self.under("segments", "Segment", "Customers"):
            header, name = table["rows"][0], plain(table["heading"])
            for row in table["rows"][1:]:
                segment = plain(row[0])
                known.add((name, segment))
                customers, revenue = sizes.get((name, segment), (0, 0))
                self.same(f"{name}.{row[0]}", row[header.index("Customers")], customers)
                if (shown := number(row[header.index("Revenue")])) is not None:
                    self.same(f"revenue of {name}.{row[0]}", row[header.index("Revenue")], revenue)
                    assert customers == 0 or customers >= 10, f"the revenue {shown} of {row[0]} is of few customers"
        assert known >= set(sizes), f"segments that the page does not have: {set(sizes) - known}"
        days = [table for table in self.tables if table["section"] == "segments" and len(table["rows"][0]) == len(self.days) + 1]
        for table in days:
            for row in table["rows"][1:]:
                for day, shown in zip(table["rows"][0][1:], row[1:], strict=True):
                    key = (plain(table["heading"]), plain(row[0]), f"{int(day.split()[0]):02} " + day.split(" ", 1)[1])
                    if shown != "–":
                        self.same(f"{row[0]} on {day}", shown, by_day.get(key, 0))

    def flows(self):
        meant = {}
        for name, origin, to, customers, revenue in self.ask("""
            select segment_set, from_segment, to_segment, count(*), sum(monetary) from segment_changes
            left join customers using (customer_id, as_of) where as_of = ?::date and change <> 'merged' group by all""", self.today):
            meant[plain(name), place(origin or "in none"), place(to or "in none")] = (customers, revenue)
        sets = sorted({name for name, *_ in meant}, key=len, reverse=True)
        for table in self.under("flows", "From", "To"):
            name = next(name for name in sets if plain(table["heading"]).startswith(name))
            for origin, to, customers, revenue, *_ in table["rows"][1:]:
                key = (name, place(origin), place(to))
                if key not in meant:
                    assert "other" in origin.lower() or "other" in to.lower(), f"no such movement: {key}"
                    continue
                self.same(f"{key}", customers, meant[key][0])
                if number(revenue) is not None:
                    self.same(f"revenue of {key}", revenue, meant[key][1])

    def channels(self):
        tables = [table for table in self.tables if table["section"] == "channels"]
        assert tables, "the page tells the channels"
        for channel in ("email", "sms", "post"):
            told = [row for table in tables for row in table["rows"] if row and plain(row[0]) == channel]
            [(allowed, consented)] = self.ask(f"""select count(*) filter (can_{channel}), count(*) filter ({channel}_consent)
                from customers where as_of = ?::date""", self.today)
            self.same(f"reach of {channel}", told[0][1], allowed)
            assert str(f"{consented:,}") in told[0], f"consent to {channel}: {consented} is not in {told[0]}"
            reasons = dict(self.ask(f"select no_{channel}_reason, count(*) from customers where as_of = ?::date group by 1", self.today))
            shown = [row for table in tables for row in table["rows"] if row]
            for reason, customers in reasons.items():
                fits = [row for row in shown if reason and plain(row[0]) == plain(reason)]
                assert not reason or any(row[1] == f"{customers:,}" or (row[1] == FEWER and customers < 10) for row in fits), (
                    f"{reason} of {channel}: {customers} is not told")
                self.compared += 1

    def value(self):
        tenths = self.ask("""select tenth, count(*), sum(lifetime_value) from (
            select lifetime_value, ntile(10) over (order by lifetime_value desc) as tenth from customers
            where as_of = ?::date and lifetime_value is not null) group by 1 order by 1""", self.today)
        rows = self.under("value", "Tenth", "Worth together")[0]["rows"][1:]
        for row, (tenth, customers, worth) in zip(rows, tenths, strict=True):
            self.same(f"customers of tenth {tenth}", row[1], customers)
            self.same(f"worth of tenth {tenth}", row[2], worth)

    def run(self):
        for part in (self.headline, self.segments, self.flows, self.channels, self.value):
            before = self.compared
            part()
            assert self.compared > before, f"nothing was compared: {part.__name__}"
        assert not self.wrong, "\n".join(self.wrong[:20])
        print(f"the report of {self.today}: {self.compared} numbers are those of the files")


if __name__ == "__main__":
    Check(*sys.argv[1:3]).run()
