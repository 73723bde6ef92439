"""Asks Segmill and DuckDB the same random queries, and compares their answers.

Everything follows from the seed: the tables, a new set for every so many queries, and the queries. A query that is answered differently
is cut down to a small one, and printed with the rows that it needs and both answers. A query may be refused, because it has a part that
Segmill would get wrong, but not too many may be.

    SEGMILL=PATH python compare.py [--seed N] [--first N] [--count N] [--seconds N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import engines
import tables
from grammar import Grammar
from tree import Node, cut_down, cut_rows

QUERIES_OF_TABLES = 50
PROCESSES = 2
# How many failures are cut down, and with how many tries each.
FAILURES_CUT_DOWN = 20
TRIES = 400
# Failures that are known, by what Segmill says, and why.
KNOWN = {
    r"date_trunc\.rs": "a build that looks for overflows breaks off at what stands in the place of a null; a release has no such check",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a query: `equal`, `refused`, `skipped`, `known`, `different` or `failed`."""

    kind: str
    reason: str = ""
    segmill: engines.Answer | None = None
    duckdb: engines.Answer | None = None

    @property
    def is_bad(self) -> bool:
        return self.kind in ("different", "failed")


class Both:
    """Segmill and DuckDB with the same tables."""

    def __init__(self, program: str, folder: Path, rows: dict[str, list[tuple]]):
        self.rows = rows
        self.segmill = engines.Segmill(program, folder, rows)
        self.duckdb = engines.DuckDB(rows)

    def compare(self, query: str, is_ordered: bool) -> Outcome:
        expected = self.duckdb.answer(query)
        if expected.status != "rows":
            return Outcome("skipped", expected.reason)
        answer = self.segmill.answer(query)
        if answer.status == "refused":
            return Outcome("refused", answer.reason)
        if answer.status == "rows" and engines.is_equal(answer, expected, is_ordered):
            return Outcome("equal")
        if self.duckdb.depends_on_order(query, is_ordered):
            return Outcome("skipped", "has more than one answer")
        if answer.status == "rows":
            return Outcome("different", "", answer, expected)
        known = next((why for what, why in KNOWN.items() if re.search(what, answer.reason)), None)
        return Outcome("known", known) if known else Outcome("failed", answer.reason, answer, expected)


def query_of(seed: int, number: int) -> tuple[Node, bool]:
    return Grammar(Random(f"query {seed} {number}")).query()


def tables_of(seed: int, number: int) -> dict[str, list[tuple]]:
    return tables.tables(Random(f"tables {seed} {number // QUERIES_OF_TABLES}"))


def main() -> int:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as scratch:
        return run(arguments, Path(arguments.folder or scratch))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="what tables and queries follow from")
    parser.add_argument("--first", type=int, default=0, help="the number of the first query")
    parser.add_argument("--count", type=int, help="how many queries")
    parser.add_argument("--seconds", type=float, help="after how many seconds no further query is asked")
    parser.add_argument("--folder", help="where the projects are written, and left")
    parser.add_argument("--print", action="store_true", help="only print the queries")
    arguments = parser.parse_args()
    if arguments.count is None and arguments.seconds is None:
        arguments.count = 500
    return arguments


def run(arguments: argparse.Namespace, folder: Path) -> int:
    if arguments.print:
        for number in range(arguments.first, arguments.first + (arguments.count or 10)):
            print(f"-- {arguments.seed} {number}\n{query_of(arguments.seed, number)[0].sql()}\n")
        return 0
    program = os.environ["SEGMILL"]
    counts: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[tuple[str, str]] = collections.Counter()
    bad = 0
    for number, both, outcome in outcomes(arguments, program, folder):
        counts[outcome.kind] += 1
        if outcome.kind in ("refused", "skipped", "known"):
            reasons[outcome.kind, re.sub(r'"[^"]*"|\d+', "…", outcome.reason)[:100]] += 1
        if outcome.is_bad:
            bad += 1
            tell(arguments.seed, number, both, outcome, program, folder / "smaller", TRIES if bad <= FAILURES_CUT_DOWN else 0)
    for (kind, reason), count in sorted(reasons.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{count:6} {kind}: {reason}")
    return summary(counts, bad)


def outcomes(arguments: argparse.Namespace, program: str, folder: Path):
    """The numbers of the queries, what answers them, and their outcomes, in order."""
    until = time.monotonic() + arguments.seconds if arguments.seconds is not None else None
    end = arguments.first + arguments.count if arguments.count is not None else sys.maxsize
    number = arguments.first
    with ThreadPoolExecutor(PROCESSES) as pool:
        while number < end and (until is None or time.monotonic() < until):
            group = number // QUERIES_OF_TABLES
            both = Both(program, folder / f"tables-{group}", tables_of(arguments.seed, number))
            numbers = range(number, min(end, (group + 1) * QUERIES_OF_TABLES))
            ask = lambda at, both=both: outcome_of(both, *query_of(arguments.seed, at))  # noqa: E731
            for at, outcome in zip(numbers, pool.map(ask, numbers), strict=True):
                yield at, both, outcome
            number = numbers.stop


def outcome_of(both: Both, query: Node, is_ordered: bool) -> Outcome:
    return both.compare(query.sql(), is_ordered)


def tell(seed: int, number: int, both: Both, outcome: Outcome, program: str, folder: Path, tries: int) -> None:
    """Prints a failure, cut down."""
    query, is_ordered = query_of(seed, number)
    print(f"\n== {outcome.kind}: --seed {seed} --first {number} --count 1\n{indented(query.sql())}")
    kind, text, rows = outcome.kind, query.sql(), both.rows
    if tries:
        is_ordered = is_ordered and not both.compare(text, False).is_bad
        # What fails differently once it is smaller is another failure.
        said = failure_of(outcome)
        fails = lambda smaller: is_like(both.compare(smaller, is_ordered), kind, said)  # noqa: E731
        text = cut_down(query, fails, tries).sql()
        used = {name: of if re.search(rf"\bsources\.{name}\b", text) else [] for name, of in rows.items()}
        less = lambda fewer: is_like(Both(program, folder, fewer).compare(text, is_ordered), kind, said)  # noqa: E731
        rows = cut_rows(used, less)
        outcome = Both(program, folder, rows).compare(text, is_ordered)
    print(f"\n  smaller:\n{indented(text)}")
    for name in rows:
        if re.search(rf"\bsources\.{name}\b", text):
            print(f"\n  sources.{name}:\n{shown_rows(text, rows[name])}", end="")
    print(f"\n  Segmill:\n{engines.shown(outcome.segmill)}\n  DuckDB:\n{engines.shown(outcome.duckdb)}", flush=True)


def failure_of(outcome: Outcome) -> str:
    """What failures have in common that are the same."""
    return re.sub(r"\W?r?\d+\W?", "", outcome.reason)[:40]


def is_like(outcome: Outcome, kind: str, said: str) -> bool:
    return outcome.kind == kind and failure_of(outcome) == said


def shown_rows(text: str, rows: list[tuple]) -> str:
    """Rows with the columns that a query names."""
    named = [at for at, (name, *_) in enumerate(tables.COLUMNS) if re.search(rf"\.{name}\b", text)] or [0]
    lines = [", ".join(tables.COLUMNS[at][0] for at in named)]
    lines += [", ".join("null" if row[at] is None else repr(str(row[at])) for at in named) for row in rows]
    return "".join(f"    {line}\n" for line in lines)


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def summary(counts: collections.Counter[str], bad: int) -> int:
    total = sum(counts.values())
    print(f"{total} queries: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    unasked = counts["refused"] + counts["skipped"]
    if 3 * unasked > total:
        print(f"{unasked} of {total} were refused or skipped: too many for a comparison", file=sys.stderr)
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
