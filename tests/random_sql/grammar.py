"""Random queries over the tables, in SQL that both Segmill and DuckDB understand.

Left out is what differs by definition: division, averages, casts that round, regular expressions, how timestamps are written, and the
places of nulls where an order does not say them. Where it matters in which order rows stand, the order is one of all columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from expressions import KINDS, SQL_TYPES, Expressions, Scope
from tables import COLUMNS, TABLES
from tree import NOTHING, Node, clause, listed, node


@dataclass
class Relation:
    """Something to select from, with its columns and those by which its rows can be ordered."""

    source: Node
    columns: list[tuple[str, str]]
    key: list[str]
    is_unique: bool = False
    # What stands behind its alias.
    names: str = ""


class Grammar(Expressions):
    """Makes one query."""

    def __init__(self, random: Random):
        super().__init__(random)
        self.aliases = 0
        self.names = 0
        self.named: list[tuple[str, list[tuple[str, str]]]] = []

    def alias(self) -> str:
        self.aliases += 1
        return f"r{self.aliases}"

    def columns_of(self, shape: list[str]) -> list[tuple[str, str]]:
        """Columns of these kinds, whose names no others have."""
        self.names += len(shape)
        return [(f"c{self.names - at}", kind) for at, kind in enumerate(shape)]

    # Queries

    def query(self) -> tuple[Node, bool]:
        """A whole query, and whether its rows have an order."""
        named = [self.recursion() if self.chance(0.08) else self.cte() for _ in range(self.random.choice([0, 0, 0, 0, 1, 1, 2]))]
        body, _, is_ordered = self.ordered(self.shape(), None, self.random.choice([1, 1, 2]))
        text, used, word = body.sql(), [], "with recursive " if any("recursion" == cte.kind for _, cte in named) else "with "
        for name, cte in reversed(named):
            # Segmill refuses a part of `with` that nothing reads.
            if f" {name} as " in text:
                used.insert(0, cte)
                text += cte.sql()
        start = clause(word, listed(used), "\n") if used else NOTHING
        return node("query", start, body), is_ordered

    def shape(self) -> list[str]:
        return [self.random.choice(KINDS) for _ in range(self.random.randint(1, 4))]

    def cte(self) -> tuple[str, Node]:
        body, columns, _ = self.ordered(self.shape(), None, 1)
        name = f"w{len(self.named) + 1}"
        self.named.append((name, columns))
        return name, node("cte", name, " as (", body, ")")

    def recursion(self) -> tuple[str, Node]:
        """Numbers, each from the one before, or rows that lead to each other."""
        columns = self.columns_of(["int", "int"])
        (value, _), (round_, _) = columns
        name, last = f"w{len(self.named) + 1}", self.random.choice([1, 2, 3])
        self.named.append((name, columns))
        word = self.random.choice(["union all", "union"])
        if self.chance(0.4):
            start = f"select cast(1 as bigint) as {value}, cast(1 as bigint) as {round_}"
            step = f"select {name}.{value} + 2, {name}.{round_} + 1 from {name} where {name}.{round_} < {last}"
        else:
            table, alias = self.random.choice(["a", "b", "c"]), self.alias()
            start = f"select id as {value}, cast(1 as bigint) as {round_} from sources.{table} where n > 0"
            step = f"select {alias}.id, {name}.{round_} + 1 from {name} inner join sources.{table} as {alias} on {alias}.k = {name}.{value}"
            step += f" where {name}.{round_} < {last}"
        return name, node("recursion", name, " as (", f"{start} {word} {step}", ")")

    def ordered(self, shape: list[str], outer: Scope | None, depth: int) -> tuple[Node, list[tuple[str, str]], bool]:
        """A query that may have an order and a limit, its columns, and whether it has an order."""
        columns = self.columns_of(shape)
        if self.chance(0.15):
            body, scope = self.set_operation(columns, outer, depth), None
        else:
            body, scope = self.select(columns, outer, depth)
        if not self.chance(0.3):
            return node("query", body), columns, False
        keys = [name for name, _ in columns]
        if scope is not None and self.chance(0.4):
            keys = scope.key
        limit = f" limit {self.random.choice([0, 1, 1, 2, 3, 5])}" if self.chance(0.7) else ""
        return node("query", body, clause(" order by ", self.order(keys), clause(limit))), columns, True

    def order(self, keys: list[str]) -> Node:
        keys = self.random.sample(keys, len(keys))
        directions = ["", " desc"]
        nulls = [" nulls first", " nulls last"]
        return listed([node("place", key, self.random.choice(directions), self.random.choice(nulls)) for key in keys])

    def set_operation(self, columns: list[tuple[str, str]], outer: Scope | None, depth: int) -> Node:
        parts: list[Node | str] = []
        for at in range(self.random.choice([2, 2, 2, 3])):
            if at:
                parts.append(f"\n{self.random.choice(['union all', 'union all', 'union', 'intersect', 'except'])} ")
            body, _ = self.select(columns, outer, max(depth - 1, 0))
            parts += ["(", node("query", body), ")"] if self.chance(0.3) else [body]
        return node("query", *parts)

    def select(self, columns: list[tuple[str, str]], outer: Scope | None, depth: int) -> tuple[Node, Scope | None]:
        """A select, and the scope whose key can order its rows, if one can."""
        origin, scope = self.origin(outer, depth)
        scope.outer, scope.depth = outer, depth
        if self.chance(0.35):
            return self.grouped(columns, origin, scope), None
        where = self.where(scope)
        windows = self.chance(0.25)
        values = self.values(columns, replace(scope, windows=windows))
        if self.chance(0.12):
            return self.distinct(columns, values, origin, where, scope), None
        qualify = NOTHING
        if windows and self.chance(0.2):
            qualify = clause("\nqualify ", self.comparison(self.window("int", scope), node("int", "2")))
        return node("select", "select ", values, origin, where, qualify), scope

    def where(self, scope: Scope) -> Node:
        scope = replace(scope, asks=True)
        parts = [self.condition(scope, 2)] if self.chance(0.55) else []
        if scope.depth > 0 and self.chance(0.2):
            # Where all that matters is whether it is true.
            parts.append(self.within(scope))
        return clause("\nwhere ", listed(parts, " and ")) if parts else NOTHING

    def distinct(self, columns: list[tuple[str, str]], values: Node, origin: Node, where: Node, scope: Scope) -> Node:
        if not self.chance(0.25):
            return node("select", "select distinct ", values, origin, where)
        first = self.random.choice(scope.columns)[0]
        order = node("order", f"\norder by {first} nulls last, ", self.order(scope.key))
        inner = node("query", f"select distinct on ({first}) ", values, origin, where, order)
        alias = self.alias()
        return node("select", "select ", ", ".join(f"{alias}.{name}" for name, _ in columns), " from (", inner, f") as {alias}")

    def values(self, columns: list[tuple[str, str]], scope: Scope) -> Node:
        return listed([node("column", self.expr(kind, scope, 2), f" as {name}") for name, kind in columns])

    def grouped(self, columns: list[tuple[str, str]], origin: Node, rows: Scope) -> Node:
        where = self.where(rows)
        rows.order = self.order(rows.key)
        plain = self.random.sample(rows.columns, min(len(rows.columns), self.random.choice([0, 1, 1, 2])))
        groups = [(node(kind, name), kind) for name, kind in plain]
        form = self.random.choice(["", "", "", "", "", "rollup", "cube", "grouping sets"])
        # Sets of computed keys are refused.
        if self.chance(0.25) and not form:
            kind = self.random.choice(KINDS)
            key = self.expr(kind, replace(rows, depth=0, outer=None), 1)
            # A number would be the place of a column.
            groups += [(key, kind)] if "." in key.sql() else []
        scope = Scope(plain, [name for name, _ in plain], not form, rows.outer, groups, rows, rows.depth, self.chance(0.15))
        by = clause("\ngroup by ", self.group_by(groups, form)) if groups else NOTHING
        values = self.values(columns, scope)
        having = clause("\nhaving ", self.condition(replace(scope, windows=False), 2)) if self.chance(0.3) else NOTHING
        return node("select", "select ", values, origin, where, by, having)

    def group_by(self, groups: list[tuple[Node, str]], form: str) -> Node:
        keys = [key for key, _ in groups]
        if not form:
            return listed(keys)
        if form == "grouping sets":
            every = node("set", "(", Node("keys", tuple(keys), ", "), ")")
            sets = [every, *(node("set", "(", key, ")") for key in keys), node("set", "()")]
            return node("sets", "grouping sets (", listed(self.random.sample(sets, len(sets))), ")")
        return node("sets", form, " (", listed(keys), ")")

    # What is selected from

    def origin(self, outer: Scope | None, depth: int, counts: Sequence[int] = (1, 1, 1, 1, 2, 2, 2, 3)) -> tuple[Node, Scope]:
        count = self.random.choice(counts)
        first, alias = self.relation(depth)
        scope = _scope_of(first, alias)
        joins = []
        for _ in range(count - 1):
            join, scope = self.join(scope, outer, depth)
            joins.append(join)
        rest = Node("list", (NOTHING, *joins)) if joins else NOTHING
        return node("from", "\nfrom ", first.source, f" as {alias}{first.names}", rest), scope

    def join(self, scope: Scope, outer: Scope | None, depth: int) -> tuple[Node, Scope]:
        if self.chance(0.06):
            return self.lateral(scope)
        kind = self.random.choice(["inner", "inner", "inner", "left", "left", "left", "right", "full", "cross"])
        right, alias = self.relation(depth)
        added = _scope_of(right, alias)
        both = Scope(scope.columns + added.columns, scope.key + added.key, scope.is_unique and added.is_unique, outer)
        on = self.equality(scope, added)
        alias += right.names
        if kind == "cross" or on is None:
            return node("join", "\ncross join ", right.source, f" as {alias}"), both
        if kind in ("inner", "left") and self.chance(0.1):
            condition = self.condition(replace(both, depth=int(kind == "inner")), 2)
            return node("join", f"\n{kind} join ", right.source, f" as {alias} on ", condition), both
        if kind in ("inner", "left") and self.chance(0.1) and len(scope.columns) == len(COLUMNS) == len(added.columns):
            return node("join", f"\n{kind} join ", right.source, f" as {alias} using ({self.random.choice(COLUMNS)[0]})"), both
        others = 0.35 if kind in ("inner", "left") else 0.05
        more = clause(" and ", self.condition(replace(both, depth=0), 1)) if self.chance(others) else NOTHING
        return node("join", f"\n{kind} join ", right.source, f" as {alias} on ", on, more), both

    def equality(self, left: Scope, right: Scope) -> Node | None:
        pairs = [(one, other) for one, kind in left.columns for other, of in right.columns if kind == of]
        near = [pair for pair in pairs if all(name.endswith((".k", ".id")) for name in pair)]
        if not pairs:
            return None
        one, other = self.random.choice(near if near and self.chance(0.6) else pairs)
        return node("bool", f"{one} = {other}" if self.chance(0.7) else f"{other} = {one}")

    def lateral(self, scope: Scope) -> tuple[Node, Scope]:
        alias = self.alias()
        body, columns, _ = self.ordered(self.shape()[:2], scope, 0)
        named = [(f"{alias}.{name}", kind) for name, kind in columns]
        both = Scope(scope.columns + named, scope.key + [name for name, _ in named], False)
        if self.chance(0.5):
            return node("join", "\ncross join lateral (", body, f") as {alias}"), both
        return node("join", "\nleft join lateral (", body, f") as {alias} on true"), both

    def relation(self, depth: int) -> tuple[Relation, str]:
        alias = self.alias()
        if self.named and self.chance(0.5):
            name, columns = self.random.choice(self.named)
            return Relation(node("source", name), columns, [column for column, _ in columns]), alias
        if depth > 0 and self.chance(0.3):
            body, columns, _ = self.ordered(self.shape(), None, depth - 1)
            return Relation(node("source", "(", body, ")"), columns, [column for column, _ in columns]), alias
        if self.chance(0.1):
            return self.random.choice([self.unnested, self.constants])(), alias
        name = self.random.choice(["a", "a", "a", "b", "b", "b", "c", "c", *TABLES])
        return Relation(node("source", f"sources.{name}"), [(column, kind) for column, kind, _, _ in COLUMNS], ["id"], True), alias

    def unnested(self) -> Relation:
        """Lists of values, a row for each value."""
        alias = self.alias()
        kind = self.random.choice(["int", "text", "dec", "bool"])
        scope = Scope([(f"{alias}.{name}", of) for name, of, _, _ in COLUMNS], [], False)
        values = listed([self.expr(kind, scope, 1) for _ in range(self.random.randint(1, 3))])
        columns = self.columns_of(["int", kind])
        (key, _), (value, _) = columns
        start, end = f"(select {alias}.k as {key}, unnest([", f"]) as {value} from sources.a as {alias})"
        return Relation(node("source", start, values, end), columns, [key, value])

    def constants(self) -> Relation:
        """Rows of constants."""
        columns = self.columns_of(self.shape())
        rows = []
        for _ in range(self.random.randint(1, 4)):
            values = tuple(node("value", "cast(", self.literal(kind), f" as {SQL_TYPES[kind]})") for _, kind in columns)
            rows.append(node("row", "(", Node("values", values, ", "), ")"))
        names = [name for name, _ in columns]
        return Relation(node("source", "(values ", listed(rows), ")"), columns, names, names=f" ({', '.join(names)})")


def _scope_of(relation: Relation, alias: str) -> Scope:
    columns = [(f"{alias}.{name}", kind) for name, kind in relation.columns]
    return Scope(columns, [f"{alias}.{name}" for name in relation.key], relation.is_unique)
