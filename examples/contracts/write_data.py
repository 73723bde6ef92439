"""Writes the extracts of examples/contracts, and beside them the rows that each contract must give.

Each extract is written by a program that writes such files in practice: Python's csv and json modules,
pandas for the spreadsheet, pyarrow and Apache Spark for Parquet. The expected rows are written from the
same records, and never read back from the extracts.

    pip install pandas==3.1.1 pyarrow==26.0.1 pyspark==4.3.0
    python3 examples/contracts/write_data.py
"""

import csv
import io
import json
import shutil
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
UTC = timezone.utc


def write(path, text, encoding="utf-8"):
    path = HERE / "data" / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))


def csv_text(rows, **dialect):
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n", **dialect).writerows(rows)
    return text.getvalue()


def expect(name, columns, rows):
    """The rows that a contract must give, by the first columns that tell them apart, as Segmill's CSV writes them."""

    def shown(value):
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, datetime):
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(value, list):
            return "[" + ", ".join(value) + "]"
        return str(value)

    path = HERE / "expected" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([shown(value) for value in row] for row in rows)
    path.write_text(text.getvalue())


def german_crm():
    """A German CRM: semicolons, Windows-1252, days as 24.12.2025, amounts as 1.234,56 €, ja and nein."""
    contacts = [
        ("K-1001", datetime(2026, 10, 3, 9, 15), "Köln", date(1971, 12, 24), Decimal("1234.56"), True),
        ("K-1002", datetime(2026, 10, 4, 18, 2), "Düsseldorf; Altstadt", None, Decimal("0.00"), False),
        ("K-1003", datetime(2026, 10, 25, 1, 30), 'Café "Zur Brücke"', date(1999, 2, 1), Decimal("-12.50"), None),
        ("K-1004", datetime(2026, 10, 31, 23, 59), "Göteborg – Mitte", date(1988, 7, 9), None, True),
    ]
    berlin = ZoneInfo("Europe/Berlin")

    def amount(value):
        if value is None:
            return "k. A."
        whole = f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
        return f"{whole} €"

    rows = [["Kundennummer", "Geändert am", "Ort", "Geburtstag", "Umsatz", "Newsletter"]]
    for number, changed, city, born, revenue, newsletter in contacts:
        said = {True: "Ja", False: "nein", None: ""}[newsletter]
        rows.append([number, f"{changed:%d.%m.%Y %H:%M}", city, f"{born:%d.%m.%Y}" if born else "", amount(revenue), said])
    write("german_crm/kunden.csv", csv_text(rows, delimiter=";"), "cp1252")
    expect(
        "german_crm",
        ["contact_id", "updated_at", "city", "birth_date", "revenue", "newsletter"],
        [(a, b.replace(tzinfo=berlin), c, d, e, f) for a, b, c, d, e, f in contacts],
    )


def lead_ads():
    """Leads of an advertising platform: UTF-16 with tabs, moments with an offset."""
    leads = [
        ("l:104", datetime(2026, 11, 2, 8, 30, tzinfo=timezone(timedelta(hours=-5))), "ada@example.com", "+44 20 7946 0000", "Ταμείο"),
        ("l:105", datetime(2026, 11, 2, 9, 0, tzinfo=timezone(timedelta(hours=1))), "grace@example.com", None, "a\ttab, and a \"quote\""),
        ("l:106", datetime(2026, 11, 3, 23, 59, 59, tzinfo=UTC), "linus@example.com", "+358 9 1234 5678", "二行\n目"),
    ]
    rows = [["id", "created_time", "email", "phone_number", "what_are_you_looking_for?"]]
    for lead, created, email, phone, answer in leads:
        rows.append([lead, created.isoformat(), email, phone or "", answer])
    write("lead_ads/leads_2026-11-04.csv", "\ufeff" + csv_text(rows, delimiter="\t"), "utf-16-le")
    expect("lead_ads", ["lead_id", "created_at", "email", "phone", "answer"], leads)


def survey():
    """A survey with two header lines: questions, and below them the choices. Cells of the first line are blank where a question goes on."""
    answers = [
        (114301, datetime(2026, 10, 6, 14, 3), "ada@example.com", 9, True, False, "Fast, and friendly"),
        (114302, datetime(2026, 10, 6, 15, 40), "grace@example.com", 4, True, True, None),
        (114303, datetime(2026, 10, 7, 7, 1), None, None, False, False, "No\nthanks"),
    ]
    rows = [
        ["Respondent ID", "End Date", "Email Address", "How likely are you to recommend us?", "Where do you shop? (all that apply)", "", "Comments"],
        ["", "", "", "Response", "Online", "In a shop", "Open-Ended Response"],
    ]
    for number, ended, email, score, online, shop, comment in answers:
        rows.append([number, f"{ended:%m/%d/%Y %I:%M:%S %p}", email or "", "" if score is None else score, "Online" if online else "", "In a shop" if shop else "", comment or ""])
    write("survey/responses.csv", csv_text(rows))
    expect(
        "survey",
        ["response_id", "answered_at", "email", "nps", "shops_online", "shops_in_store", "comment"],
        [(a, b.replace(tzinfo=UTC), c, d, "Online" if e else None, "In a shop" if f else None, g) for a, b, c, d, e, f, g in answers],
    )


def ga4():
    """Events as Google Analytics 4 exports them: parameters are a list of keys and values, of which each has its type."""

    def parameter(key, value):
        typed = {"string_value": None, "int_value": None, "float_value": None, "double_value": None}
        typed["int_value" if isinstance(value, int) else "string_value"] = value
        return {"key": key, "value": typed}

    def event(micros, name, visitor, user, device, page, session):
        parameters = [parameter("ga_session_id", session)] + ([parameter("page_location", page)] if page else [])
        return {
            "event_date": "20261106",
            "event_timestamp": micros,
            "event_name": name,
            "event_params": parameters,
            "user_id": user,
            "user_pseudo_id": visitor,
            "device": {"category": device, "operating_system": "iOS", "web_info": {"browser": "Safari"}},
            "items": [],
        }

    start = 1793952000_000000
    events = [
        event(start + 1, "page_view", "873.11", None, "mobile", "https://shop.example/garden", 17),
        event(start + 2_000_000, "login", "873.11", "c1", "mobile", None, 17),
        event(start + 3_500_000, "purchase", "911.42", "c2", "desktop", "https://shop.example/cart?x=1&y=ü", 18),
    ]
    events[2]["items"] = [{"item_id": "SKU-1", "price": 4.25, "quantity": 2}, {"item_id": "SKU-9", "price": 19.99, "quantity": 1}]
    write("ga4/events_20261106.json", "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    value = pa.struct([("string_value", text), ("int_value", whole), ("float_value", real), ("double_value", real)])
    schema = pa.schema(
        [
            ("event_date", text),
            ("event_timestamp", whole),
            ("event_name", text),
            ("event_params", pa.list_(pa.struct([("key", text), ("value", value)]))),
            ("user_id", text),
            ("user_pseudo_id", text),
            ("device", pa.struct([("category", text), ("operating_system", text), ("web_info", pa.struct([("browser", text)]))])),
            ("items", pa.list_(pa.struct([("item_id", text), ("price", real), ("quantity", whole)]))),
        ]
    )
    path = HERE / "data/ga4_parquet/events_20261106.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(events, schema=schema), path, compression="zstd")
    columns = ["visitor_id", "occurred_at", "event_name", "user_id", "device", "browser", "page", "session_id"]
    rows = []
    for found in events:
        parameters = {entry["key"]: entry["value"]["string_value"] or entry["value"]["int_value"] for entry in found["event_params"]}
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found["event_timestamp"])
        shown = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace("000Z", "Z").replace(".000Z", "Z")
        device = found["device"]
        rows.append((found["user_pseudo_id"], shown, found["event_name"], found["user_id"], device["category"], device["web_info"]["browser"], parameters.get("page_location"), parameters["ga_session_id"]))
    expect("ga4_ndjson", columns, rows)
    expect("ga4_parquet", columns, rows)
    items = [("911.42", number, item["item_id"], item["quantity"], item["price"]) for number, item in enumerate(events[2]["items"])]
    expect("ga4_items", ["visitor_id", "item_number", "item_id", "quantity", "unit_price"], items)


def spark_orders():
    """Orders that Spark wrote, partitioned by day and region: these two are in the paths alone."""
    from pyspark.sql import SparkSession

    folder = HERE / "data/spark_orders"
    shutil.rmtree(folder, ignore_errors=True)
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    orders = [
        ("o-1", "c1", datetime(2026, 11, 1, 10, 0), Decimal("19.99"), date(2026, 11, 1), "EU/west"),
        ("o-2", "c2", datetime(2026, 11, 1, 23, 59), Decimal("5.00"), date(2026, 11, 1), None),
        ("o-3", "c1", datetime(2026, 11, 2, 0, 0), Decimal("7.50"), date(2026, 11, 2), "EU/west"),
        ("o-4", "c3", datetime(2026, 11, 4, 12, 0), Decimal("1.00"), date(2026, 11, 4), "US"),
    ]
    schema = "order_id string, customer_id string, ordered_at timestamp, amount decimal(12,2), dt date, region string"
    spark.createDataFrame(orders, schema).repartition(1).write.partitionBy("dt", "region").parquet(str(folder))
    spark.stop()
    # The last one is of the as-of day: its file is left unopened.
    rows = [(number, customer, at.replace(tzinfo=UTC), amount, day, region) for number, customer, at, amount, day, region in orders[:3]]
    expect("spark_orders", ["order_id", "customer_id", "ordered_at", "amount", "day", "region"], rows)


def crm_snapshots():
    """The whole table of contacts, sent each night. c2 is gone in the second snapshot; the third is of the as-of day and does not count."""
    header = ["contact_id", "email", "email_consent", "since"]
    days = {
        "20261101": [("c1", "ada@example.com", "yes", "2025-01-31"), ("c2", "bob@example.com", "no", "2025-02-28")],
        "20261103": [("c1", "ada@new.example", "yes", "2026-11-02"), ("c3", "eve@example.com", "no", "2026-11-03")],
        "20261104": [("c1", "ada@later.example", "no", "2026-11-04")],
    }
    for day, rows in days.items():
        write(f"crm_snapshots/contacts_{day}.csv", csv_text([header, *rows]))
    rows = [(a, b, c == "yes", d, date(2026, 11, 3)) for a, b, c, d in days["20261103"]]
    expect("crm_snapshots", ["contact_id", "email", "email_consent", "since", "day"], rows)


def change_data():
    """Changes of a database: inserts, updates and deletes, each with its place in the log."""
    changes = [
        (1001, "I", "2026-11-01T08:00:00Z", "c1", "ada@example.com", "true"),
        (1002, "I", "2026-11-01T08:00:00Z", "c2", "bob@example.com", "true"),
        (1010, "U", "2026-11-02T09:30:00Z", "c1", "ada@new.example", "true"),
        # Both of one moment: the place in the log tells which came last.
        (1012, "U", "2026-11-02T09:30:00Z", "c1", "ada@newest.example", "false"),
        (1011, "D", "2026-11-02T10:00:00Z", "c2", "", ""),
        (1013, "I", "2026-11-03T00:00:00Z", "c3", "eve@example.com", "false"),
        # After the as-of day.
        (1020, "D", "2026-11-05T07:00:00Z", "c3", "", ""),
    ]
    header = ["lsn", "op", "committed_at", "contact_id", "email", "email_consent"]
    write("change_data/contacts_1.csv", csv_text([header, *changes[:3]]))
    write("change_data/contacts_2.csv", csv_text([header, *changes[3:]]))
    utc = lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))
    rows = [(changes[at][3], utc(changes[at][2]), changes[at][4], changes[at][5] == "true") for at in (3, 5)]
    expect("change_data", ["contact_id", "changed_at", "email", "email_consent"], rows)


def shop_orders():
    """Order lines of a shop system: what belongs to the whole order stands in its first line alone."""
    rows = [["Name", "Email", "Financial Status", "Created at", "Total", "Lineitem quantity", "Lineitem name", "Lineitem price", "Accepts Marketing"]]
    orders = [
        ("#1001", "ada@example.com", "paid", "2026-11-01 10:00:00 +0100", "25.00", "yes", [(2, "Mug, blue", "10.00"), (1, "Card", "5.00")]),
        ("#1002", "bob@example.com", "refunded", "2026-11-01 11:30:00 +0100", "7.50", "no", [(1, "Tea", "7.50")]),
        # A guest without an address: what is blank in the first line of an order is not the order's before it.
        ("#1003", "", "paid", "2026-11-02 08:00:00 +0100", "12.00", "no", [(1, "Pot", "8.00"), (4, "Spoon", "1.00"), (0, "Gift note", "0.00")]),
    ]
    expected = []
    for name, email, status, created, total, accepts, lines in orders:
        for number, (quantity, item, price) in enumerate(lines):
            of_order = [email, status, created, total] if number == 0 else [""] * 4
            rows.append([name, *of_order, quantity, item, price, accepts if number == 0 else ""])
            moment = datetime.strptime(created, "%Y-%m-%d %H:%M:%S %z")
            expected.append((name, item, moment, email or None, status, total, quantity, price, accepts == "yes"))
    write("shop_orders/orders_export_1.csv", csv_text(rows))
    expect("shop_orders", ["order_id", "item", "ordered_at", "email", "status", "order_total", "quantity", "unit_price", "accepts_marketing"], sorted(expected, key=lambda row: row[:2]))


def spreadsheet():
    """A sheet saved as CSV: a title above the header, days as serial numbers, amounts with currency, parentheses as minus, no-break spaces."""
    visits = [
        ("Ada", date(2026, 11, 1), datetime(2026, 11, 1, 9, 30), Decimal("1234.50"), Decimal("0.125")),
        ("Bob", date(2026, 11, 2), datetime(2026, 11, 2, 18, 0), Decimal("-33.52"), Decimal("1")),
        ("Eve", None, datetime(2026, 11, 3, 0, 0), None, None),
    ]

    def serial(day):
        return (day - date(1899, 12, 30)).days

    def amount(value):
        if value is None:
            return "-"
        return f"(${-value:,.2f})" if value < 0 else f"${value:,.2f}"

    sheet = pd.DataFrame(
        [
            {
                "Client": name,
                "First visit": "" if day is None else serial(day),
                "Last visit": serial(last.date()) + (last.hour * 60 + last.minute) / 1440,
                "Spent": amount(spent),
                "Discount": "" if share is None else f"{share * 100:g}\u00a0%",
            }
            for name, day, last, spent, share in visits
        ]
    )
    text = "Visits of the autumn,,,,\r\n,,,,\r\n" + sheet.to_csv(index=False, lineterminator="\r\n")
    write("spreadsheet/visits.csv", "\ufeff" + text)
    rows = [(name, day, last.replace(tzinfo=UTC), spent, None if share is None else f"{share:.3f}") for name, day, last, spent, share in visits]
    expect("spreadsheet", ["client", "first_visit", "last_visit", "spent", "discount"], rows)


def api():
    """The answer of an API: one array of objects over many lines, with lists and nested objects."""
    customers = [
        {"id": 7001, "updatedAt": "2026-11-01T10:00:00.000Z", "profile": {"email": "ada@example.com", "tags": ["vip", "press"]}, "lifetimeValue": "1204.10"},
        {"id": 7002, "updatedAt": "2026-11-02T11:00:00.000Z", "profile": {"email": None, "tags": []}, "lifetimeValue": "0"},
        {"id": 7003, "updatedAt": "2026-11-03T12:00:00.000Z", "profile": None, "lifetimeValue": None},
    ]
    write("api/customers.json", json.dumps(customers, indent=2))
    rows = []
    for customer in customers:
        profile = customer["profile"] or {}
        moment = datetime.fromisoformat(customer["updatedAt"].replace("Z", "+00:00"))
        value = customer["lifetimeValue"]
        rows.append((str(customer["id"]), moment, profile.get("email"), profile.get("tags"), None if value is None else f"{Decimal(value):.2f}"))
    expect("api", ["customer_id", "updated_at", "email", "tags", "lifetime_value"], rows)


if __name__ == "__main__":
    for example in (german_crm, lead_ads, survey, ga4, crm_snapshots, change_data, shop_orders, spreadsheet, api, spark_orders):
        example()
