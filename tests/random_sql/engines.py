"""The two that answer: Segmill, a process for each query, and DuckDB. Their answers are brought into one form."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

import duckdb

import tables

SECONDS = 120
DUCKDB_SECONDS = 10
MOST_ROWS = 10_000
# A query that needs more is skipped, and nothing is written.
CONFIG = {"threads": 1, "memory_limit": "500MB", "temp_directory": ""}
A_DAY_OR_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00(?::00)?)?)?")


@dataclass(frozen=True)
class Answer:
    """What one of the two said: rows, or why there are none."""

    # `rows`, `refused`, or `failed`.
    status: str
    rows: list[tuple] | None = None
    # The code of a refusal, or what a failure says.
    reason: str = ""


class Segmill:
    """The program, and a project with tables."""

    def __init__(self, program: str, folder: Path, rows: dict[str, list[tuple]]):
        self.program, self.folder = program, folder
        tables.write(folder, rows)

    def answer(self, query: str) -> Answer:
        arguments = ["query", "-", "pipelines/random.yaml", "--as-of", tables.AS_OF, "--format", "json", "--log-format", "json"]
        try:
            done = subprocess.run(
                [self.program, *arguments],
                input=query.encode(),
                cwd=self.folder,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer("failed", reason=f"no answer within {SECONDS} seconds")
        said = done.stderr.decode(errors="replace")
        if done.returncode == 0:
            return Answer("rows", [normal_row(row) for row in _json_rows(done.stdout.decode())])
        problems = _problems(said)
        if done.returncode == 2 and problems and "code" in problems[0]:
            return Answer("refused", reason=f"{problems[0]['code']}: {problems[0]['message']}")
        return Answer("failed", reason=f"exit code {done.returncode}: {said[-2000:]}")


def _json_rows(text: str) -> list[list]:
    read = json.JSONDecoder(parse_float=Decimal)
    return [list(read.decode(line).values()) for line in text.splitlines()]


def _problems(said: str) -> list[dict]:
    for line in said.splitlines():
        if line.startswith("{"):
            problems = json.loads(line).get("problems")
            if problems:
                return problems
    return []


class DuckDB:
    """DuckDB with the same tables, whose rows it has in several orders."""

    def __init__(self, rows: dict[str, list[tuple]]):
        orders = [list, lambda of: of[::-1], lambda of: Random(1).sample(of, len(of))]
        self.connections = [_connection({name: order(of) for name, of in rows.items()}) for order in orders]

    def answer(self, query: str) -> Answer:
        return _answer(self.connections[0], query)

    def depends_on_order(self, query: str, is_ordered: bool) -> bool:
        """Whether the answer is another one if the tables have their rows in another order: then the query has no one answer."""
        answers = [_answer(connection, query) for connection in self.connections]
        return any(one.status != "rows" or not is_equal(answers[0], one, is_ordered) for one in answers)


def _connection(rows: dict[str, list[tuple]]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=CONFIG)
    connection.execute("set enable_external_access = false")
    connection.execute("create schema sources")
    for name, of in rows.items():
        connection.register("given", tables.arrow(of))
        connection.execute(f"create table sources.{name} as select * from given")
        connection.unregister("given")
    return connection


def _answer(connection: duckdb.DuckDBPyConnection, query: str) -> Answer:
    cursor = connection.cursor()
    # For a join that is far too large. Its query is skipped.
    timer = threading.Timer(DUCKDB_SECONDS, cursor.interrupt)
    timer.start()
    try:
        (count,) = cursor.execute(f"select count(*) from ({query})").fetchone()
        if count > MOST_ROWS:
            return Answer("failed", reason="has too many rows")
        return Answer("rows", [normal_row(row) for row in cursor.execute(query).fetchall()])
    except duckdb.Error as error:
        return Answer("failed", reason=str(error).splitlines()[0])
    finally:
        timer.cancel()
        cursor.close()


def normal_row(row) -> tuple:
    return tuple(normal(value) for value in row)


def normal(value) -> tuple:
    """A value as both have it. A day is the moment at which it begins."""
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("bool", str(value).lower())
    if isinstance(value, (int, Decimal, float)):
        return ("number", _digits(Decimal(str(value))))
    if isinstance(value, (datetime.date, datetime.datetime)):
        value = value.isoformat()
    if isinstance(value, (list, tuple)):
        return ("list", *(normal(one) for one in value))
    moment = A_DAY_OR_MOMENT.fullmatch(value)
    if moment is None:
        return ("text", value)
    day, time, fraction = moment.groups()
    return ("moment", f"{day} {time or '00:00:00'}.{(fraction or '').ljust(6, '0')}")


def _digits(number: Decimal) -> str:
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def is_equal(one: Answer, other: Answer, is_ordered: bool) -> bool:
    if is_ordered:
        return one.rows == other.rows
    return sorted(one.rows) == sorted(other.rows)


def shown(answer: Answer) -> str:
    """An answer for people."""
    if answer.status != "rows":
        return f"    {answer.status}: {answer.reason}\n"
    lines = [f"    {', '.join(_shown(value) for value in row)}\n" for row in sorted(answer.rows)[:30]]
    more = [f"    … {len(answer.rows) - 30} more\n"] if len(answer.rows) > 30 else []
    return f"    {len(answer.rows)} rows\n" + "".join(lines + more)


def _shown(value: tuple) -> str:
    if value[0] == "null":
        return "null"
    if value[0] == "list":
        return "[" + ", ".join(_shown(one) for one in value[1:]) + "]"
    return repr(value[1]) if value[0] in ("text", "moment") else value[1]
