"""Writes the nested files of this folder with pyarrow and Python's json: `python tests/nested/generate.py` (pyarrow 21)."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent

VALUE = pa.struct([("string_value", pa.string()), ("int_value", pa.int64()), ("double_value", pa.float64())])
PARAMS = pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))
SCHEMA = pa.schema(
    [
        ("user_pseudo_id", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("device", pa.struct([("category", pa.string()), ("web_info", pa.struct([("browser", pa.string())]))])),
        ("event_params", PARAMS),
        ("items", pa.list_(pa.struct([("item_id", pa.string()), ("price", pa.float64()), ("item_params", PARAMS)]))),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("tags", pa.list_(pa.string())),
        ("first_seen", pa.struct([("at", pa.timestamp("us", tz="UTC"))])),
    ]
)


def param(key, **value):
    return {"key": key, "value": {"string_value": None, "int_value": None, "double_value": None, **value}}


def events(count):
    """Events as Google Analytics 4 exports them, with what is rare in each row of some."""
    for at in range(count):
        params = [param("ga_session_id", int_value=1_000 + at // 3), param("page_location", string_value=f"/garden/{at % 7}")]
        if at % 2:
            params.insert(0, param("engaged", string_value="yes"))
        if at % 5 == 0:
            params.append(param("page_location", string_value="again"))
        item = {"item_id": f"i{at}", "price": at / 4, "item_params": [param("size", int_value=at)]}
        yield {
            "user_pseudo_id": f"{at % 10}.{at}",
            "event_timestamp": 1_762_387_200_000_000 + at * 1_000_000,
            "event_name": "page_view",
            "device": None if at % 11 == 0 else {"category": "mobile" if at % 3 else None, "web_info": {"browser": 'Fire"fox\\é'}},
            "event_params": None if at % 13 == 0 else params,
            "items": None if at % 4 == 0 else [item] * (at % 4 - 1),
            "attributes": None if at % 6 == 0 else {"plan": f"p{at % 2}", "a.b": "dotted"},
            "tags": None if at % 9 == 0 else ["a", None, f"t{at}"][: at % 4],
            "first_seen": {"at": f"2025-11-0{at % 9 + 1}T10:00:00Z"},
        }


def main():
    rows = list(events(240))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (FOLDER / "events.ndjson").write_text(lines, newline="\n")
    for row in rows:
        row["attributes"] = row["attributes"] and list(row["attributes"].items())
        row["first_seen"] = {"at": __import__("datetime").datetime.fromisoformat(row["first_seen"]["at"])}
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, FOLDER / "events.parquet", compression="zstd", row_group_size=70, data_page_size=1024)
    pq.write_table(
        table,
        FOLDER / "events_v2.parquet",
        compression="snappy",
        data_page_version="2.0",
        use_dictionary=False,
        use_compliant_nested_type=False,
        write_page_checksum=True,
    )


if __name__ == "__main__":
    main()
