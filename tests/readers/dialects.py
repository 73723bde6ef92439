"""Writes tests/it/dialects.json: CSV files that Python, pandas and DuckDB write in dialects and encodings of every kind, with their rows.

Usage: dialects.py [--check]    (--check: says whether the committed file is what is written here)
The writers are those of tests/values/requirements.txt.
"""

import base64
import csv
import io
import json
import pathlib
import random
import sys
import tempfile

import duckdb
import pandas

TABLE = pathlib.Path(__file__).parent.parent / "it" / "dialects.json"
HEADER = ["a", "b"]
LETTERS = {
    "utf-8": "aé€語 ",
    "windows-1252": "aé€ß ",
    "iso-8859-2": "ałşÖ ",
    "windows-1251": "aждё ",
    "shift_jis": "aカ表ソ ",
    "gb18030": "a中€ß ",
    "euc-kr": "a한글 ",
    "utf-16": "aé€語😀 ",
    "utf-16-le": "aé語😀 ",
    "utf-16-be": "aé語😀 ",
}
LABELS = {"utf-16-le": "utf-16le", "utf-16-be": "utf-16be"}


def quoted(character):
    return json.dumps(character) if character in "\t'" else f"'{character}'"


def settings(encoding="utf-8", **keys):
    parts = [] if encoding in ("utf-8", "utf-16") else [f"encoding: {LABELS.get(encoding, encoding)}"]
    written = [f"{key}: {value if value in ('none', 'false') else quoted(value)}" for key, value in keys.items()]
    return ", ".join(parts + ([f"csv: {{{', '.join(written)}}}"] if written else []))


def rows(draw, letters, special):
    count = draw.randint(3, 8)

    def field():
        return "".join(draw.choice(letters + special) for _ in range(draw.randint(0, 6))).strip()

    return [["x" + field(), field()] for _ in range(count)]


def python_files(draw):
    styles = {"all": csv.QUOTE_ALL, "minimal": csv.QUOTE_MINIMAL, "nonnumeric": csv.QUOTE_NONNUMERIC}
    for encoding, letters in LETTERS.items():
        for delimiter in ",;\t|":
            for name, style in styles.items():
                for quote, escape, ending in (('"', None, "\r\n"), ("'", None, "\n"), ('"', "\\", "\n"), ('"', None, "\r")):
                    # Python leaves a line feed without quotes where lines end otherwise.
                    if draw.random() < 0.75 or (ending == "\r" and name == "minimal"):
                        continue
                    special = delimiter + '"' + "'" + "\n" + ("\\" if escape else "") + ("\r" if ending == "\r" else "")
                    data = rows(draw, letters, special)
                    out = io.StringIO(newline="")
                    writer = csv.writer(
                        out,
                        delimiter=delimiter,
                        quotechar=quote,
                        escapechar=escape,
                        doublequote=escape is None,
                        quoting=style,
                        lineterminator=ending,
                    )
                    writer.writerows([HEADER] + data)
                    keys = {"delimiter": delimiter, "quote": quote} | ({"escape": escape} if escape else {})
                    yield f"Python, {name}, {encoding}", settings(encoding, **keys), out.getvalue().encode(encoding), data
        data = rows(draw, letters, "\t\\\"\n,")
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n")
        writer.writerows([HEADER] + data)
        keys = {"delimiter": "\t", "quote": "none", "escape": "\\"}
        yield f"Python, none, {encoding}", settings(encoding, **keys), out.getvalue().encode(encoding), data


def pandas_files(draw):
    for encoding, letters in LETTERS.items():
        for delimiter in ";\t|":
            data = rows(draw, letters, delimiter + '"\n')
            frame = pandas.DataFrame(data, columns=HEADER)
            written = frame.to_csv(index=False, sep=delimiter, lineterminator="\r\n")
            yield f"pandas, {encoding}", settings(encoding, delimiter=delimiter), written.encode(encoding), data
    data = rows(draw, LETTERS["utf-8"], "§\"\n")
    written = pandas.DataFrame(data, columns=HEADER).to_csv(index=False, header=False, sep=";", quoting=csv.QUOTE_ALL)
    yield "pandas, no header", settings(delimiter=";", header="false"), written.encode(), data


def duckdb_files(draw):
    connection = duckdb.connect()
    for delimiter, quote, escape in ((";", '"', '"'), ("\t", '"', '"'), ("|", "'", "'"), (",", '"', "\\"), ("|", "'", "\\"), ("§", '"', '"')):
        data = rows(draw, LETTERS["utf-8"], delimiter + quote + "\n" + ("\\" if escape == "\\" else ""))
        # What needs no quotes is written as it is: a lone backslash there stands for itself, and two do for DuckDB, and not for Python.
        data = [[field.replace("\\\\", "\\") for field in row] for row in data]
        connection.execute("create or replace table written (a varchar, b varchar)")
        connection.executemany("insert into written values (?, ?)", data)
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/written.csv"
            options = f"header, delimiter '{delimiter}', quote '{quote.replace(chr(39), chr(39) * 2)}', escape '{escape.replace(chr(39), chr(39) * 2)}'"
            connection.execute(f"copy written to '{path}' ({options})")
            keys = {"delimiter": delimiter, "quote": quote} | ({"escape": escape} if escape == "\\" else {})
            yield f"DuckDB, {delimiter}", settings(**keys), pathlib.Path(path).read_bytes(), data


def table():
    draw = random.Random(21)
    cases = []
    for writer in (python_files, pandas_files, duckdb_files):
        for name, said, data, written in writer(draw):
            found = [[field if field else None for field in row] for row in written]
            cases.append({"writer": name, "settings": said, "file": base64.b64encode(data).decode(), "rows": found})
    return "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n"


if "--check" in sys.argv:
    sys.exit(0 if TABLE.read_text(encoding="utf-8") == table() else f"{TABLE} is not what is written here")
TABLE.write_text(table(), encoding="utf-8")
