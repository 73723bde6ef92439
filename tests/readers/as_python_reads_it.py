"""Writes tests/it/python_reads.json: what Python's csv and json modules read of bytes of every kind, up to the first malformed record.

Usage: as_python_reads_it.py [--check]    (--check: says whether the committed file is what Python reads here)

A malformed record is one that is no UTF-8, has not as many fields as the header, or has a quote that never closes; of NDJSON a line that is no
JSON object, has NaN or an infinity, a lone surrogate, or an object, a list or a number with a fraction in a column, which are of text.
"""

import csv
import io
import json
import pathlib
import random
import sys
from decimal import Decimal

csv.field_size_limit(1 << 30)
TABLE = pathlib.Path(__file__).parent.parent / "it" / "python_reads.json"
HEADER = b"a,b\n"
SENTINEL = ["sentinel", "sentinel"]


def records(data):
    """The records of a CSV text with the line that each begins on, blank lines left out; the last says whether it was closed."""
    text = data.decode("utf-8", "surrogateescape")
    found, line = [], 1
    reader = csv.reader(io.StringIO(text, newline=""))
    for row in reader:
        if row:
            found.append((line, row))
        line = reader.line_num + 1
    again = list(csv.reader(io.StringIO(text + "\n" + ",".join(SENTINEL), newline="")))
    return found, again[-1] == SENTINEL


def read_csv(data):
    found, closed = records(data)
    rows = []
    for number, (line, row) in enumerate(found):
        is_last = number + 1 == len(found)
        surrogates = any(0xDC80 <= ord(c) <= 0xDCFF for field in row for c in field)
        if number > 0 and (len(row) != 2 or surrogates or (is_last and not closed)):
            return rows, line
        if number > 0:
            rows.append([field if field else None for field in row])
    return rows, None


def read_ndjson(data):
    def unlike(_):
        raise ValueError("not in RFC 8259")

    def text(value):
        if isinstance(value, Number):
            # The columns are text: a whole number is its digits, and any other is none.
            exact = Decimal(value)
            if exact != exact.to_integral_value() or exact.adjusted() >= 100:
                raise ValueError("no whole number")
            return str(int(exact))
        if value is None or isinstance(value, str):
            if value is not None:
                value.encode("utf-8")
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        raise ValueError("nested")

    class Number(str):
        pass

    rows = []
    for number, line in enumerate(data.split(b"\n")):
        if not line.strip(b" \t\r"):
            continue
        try:
            parsed = json.loads(
                line.decode("utf-8"), parse_constant=unlike, parse_int=Number, parse_float=Number
            )
            if not isinstance(parsed, dict):
                raise ValueError("no object")
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
            rows.append([text(parsed.get(name)) for name in ("a", "b")])
        except (ValueError, RecursionError):
            return rows, number + 1
    return rows, None


def csv_inputs(chance):
    pieces = [b'"', b'"', b",", b",", b"\n", b"\r", b"\r\n", b"x", b"yy", b" ", b'""', "é".encode(), b"x,y\n", b'"p","q"\n', b"1,2\r", b"\xff"]
    weights = [8, 8, 8, 8, 6, 3, 3, 8, 4, 2, 4, 2, 10, 8, 4, 0.3]
    for size in [0, 1, 2, 3] + [5] * 60 + [10] * 100 + [20] * 80 + [60] * 30:
        yield HEADER + b"".join(chance.choices(pieces, weights, k=size))
    for size in range(40):
        yield HEADER + bytes(chance.choices(range(1, 256), k=size))
    rows = [b'"a ""quoted"" one",2\n', b"1,2\n", b'"over\nlines",x\r\n', b'1,"x\n2,y\n",3\n', b'5,"never\n', b"a\"b,c\"\"d\n", b'"a"b,"c"\n', b"one\n"]
    for _ in range(120):
        yield HEADER + b"".join(chance.choices(rows, k=chance.randrange(1, 7)))


def ndjson_inputs(chance):
    lines = [
        b'{"a": "x", "b": 1}', b'{"b": null, "a": true}', b'{"a": -0.5e+3, "c": [1, {"d": "}"}]}', b'{"a": "\\u0041\\n", "b": "\\ud83d\\ude00"}',
        b'{"a": 01}', b'{"a": "x"} {"a": "y"}', b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": {"b": 1}}', b"[1]", b'{"a": "\t"}', b'{"a": "\xff"}',
        b"{}", b" \t", b'\t{"a": "x"}\r', b'{"a": "x",}', b'{"a": 12345678901234567890123}', b'{"a": 1E5, "b": 1.50}', b'{"a": tru}', b'{"a": "x"}\x0c',
        b'{"a": "\\ud800"}', b'{"\\u0061": "\\/", "b": "\\""}', b'{"a": 1.}', b'{"a": .5}', b'{"a": +1}', b'{"a" : "\xc3\xa9" , "b":"" }', b"null",
    ]
    for line in lines:
        yield b'{"a": "first"}\n' + line + b'\n{"b": "last"}\n'
        yield line
    good = [line for line in lines if read_ndjson(line) == (read_ndjson(line)[0], None)]
    for _ in range(200):
        yield b"\n".join(chance.choices(good, k=5) + chance.choices(lines, k=chance.randrange(1, 4)))
    tokens = [b"{", b"}", b'"a"', b'"b"', b":", b",", b"1", b'"x"', b"null", b" ", b"\n", b"[", b"]", b"\\", b"-", b"e1", b"\r"]
    for size in [5] * 40 + [9] * 120:
        yield b'{"a": 1}\n{' + b"".join(chance.choices(tokens, k=size))


def table():
    chance = random.Random(16)
    made = []
    for name, inputs, read in [("csv", csv_inputs, read_csv), ("ndjson", ndjson_inputs, read_ndjson)]:
        for data in dict.fromkeys(inputs(chance)):
            rows, bad_line = read(data)
            made.append({"format": name, "hex": data.hex(), "rows": rows, "bad_line": bad_line})
    return "[\n" + ",\n".join(json.dumps(case, ensure_ascii=True) for case in made) + "\n]\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        assert TABLE.read_text() == table(), f"{TABLE} is not what Python reads: run {__file__}"
    else:
        TABLE.write_text(table())
