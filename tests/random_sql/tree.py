"""Queries as trees: what they are written as, and the smaller trees that a failing one is cut down to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

# What an expression of a type is cut down to at last.
SIMPLEST = {
    "int": ["1", "cast(null as bigint)"],
    "dec": ["cast(1 as decimal(5,2))", "cast(null as decimal(12,2))"],
    "text": ["'x'", "cast(null as varchar)"],
    "day": ["date '2024-02-29'", "cast(null as date)"],
    "moment": ["timestamp '2024-02-29 12:00:00'", "cast(null as timestamp)"],
    "bool": ["true", "false", "cast(null as boolean)"],
}


@dataclass(frozen=True)
class Node:
    """A part of a query. Nodes of one kind can stand for each other."""

    kind: str
    parts: tuple[Node | str, ...]
    # What stands between the parts, where they are a list.
    separator: str = ""
    # Whether the query is one without it.
    optional: bool = False

    def sql(self) -> str:
        return self.separator.join(part if isinstance(part, str) else part.sql() for part in self.parts)

    def descendants(self) -> Iterator[Node]:
        for part in self.parts:
            if isinstance(part, Node):
                yield part
                yield from part.descendants()


NOTHING = Node("nothing", ())


def node(kind: str, *parts: Node | str) -> Node:
    return Node(kind, parts)


def clause(*parts: Node | str) -> Node:
    """A part that can be left out."""
    return Node("clause", parts, optional=True)


def listed(parts: list[Node], separator: str = ", ") -> Node:
    """A list, each of whose parts but the last can be left out."""
    return Node("list", tuple(parts), separator=separator)


def smaller(root: Node) -> Iterator[Node]:
    """The trees with one part replaced by less."""
    yield from _replacements(root)
    for at, part in enumerate(root.parts):
        if isinstance(part, Node):
            for other in smaller(part):
                yield Node(root.kind, (*root.parts[:at], other, *root.parts[at + 1 :]), root.separator, root.optional)


def _replacements(part: Node) -> Iterator[Node]:
    if part.optional:
        yield NOTHING
    if part.kind == "list":
        for at in range(len(part.parts)):
            if len(part.parts) > 1:
                yield Node("list", (*part.parts[:at], *part.parts[at + 1 :]), part.separator)
    elif part.kind not in ("clause", "nothing"):
        yield from (below for below in part.descendants() if below.kind == part.kind)
        yield from (node(part.kind, text) for text in SIMPLEST.get(part.kind, ()))


def cut_down(root: Node, still_fails: Callable[[str], bool], tries: int) -> Node:
    """The smallest tree found that still fails, with at most so many tries."""
    seen = {root.sql()}
    while True:
        candidates = {}
        for tree in smaller(root):
            text = tree.sql()
            if len(text) < len(root.sql()) and text not in seen:
                candidates.setdefault(text, tree)
        for text in sorted(candidates, key=lambda text: (len(text), text)):
            seen.add(text)
            tries -= 1
            if tries < 0:
                return root
            if still_fails(text):
                root = candidates[text]
                break
        else:
            return root


def cut_rows(rows: dict[str, list], still_fails: Callable[[dict[str, list]], bool]) -> dict[str, list]:
    """The tables with the fewest rows that still fail."""
    for name in rows:
        size = max(1, len(rows[name]))
        while size >= 1:
            start = 0
            while start < len(rows[name]):
                fewer = {**rows, name: rows[name][:start] + rows[name][start + size :]}
                if still_fails(fewer):
                    rows = fewer
                else:
                    start += size
            size //= 2
    return rows
