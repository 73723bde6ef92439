"""Random expressions, conditions, subqueries, aggregates and windows over the columns that can be read at a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tables import DAYS, MOMENTS, TEXTS
from tree import NOTHING, Node, clause, listed, node

KINDS = ["int", "dec", "text", "day", "moment", "bool"]
SQL_TYPES = {"int": "bigint", "dec": "decimal(12,2)", "text": "varchar", "day": "date", "moment": "timestamp", "bool": "boolean"}
# Numbers with a point are doubles to Segmill.
DECIMALS = [("0", "12,2"), ("1", "5,2"), ("1.50", "12,2"), ("1.005", "9,3"), ("-2.25", "5,2"), ("10.5", "3,1")]
COMPARISONS = ["=", "=", "<>", "<", "<=", ">", ">="]
# Of sums and products of decimals, so that no type is too wide for both to agree on it. No value has more digits after the point.
SUM_TYPE = "decimal(24,6)"
FRAMES = [
    "rows between unbounded preceding and current row",
    "rows between 1 preceding and 1 following",
    "rows between current row and unbounded following",
    "rows between unbounded preceding and unbounded following",
    "rows between 2 preceding and 1 preceding",
    "rows between 1 following and 2 following",
    "range between unbounded preceding and current row",
    "range between current row and unbounded following",
]


@dataclass
class Scope:
    """The columns that an expression may read."""

    columns: list[tuple[str, str]]
    # Columns by which rows can be ordered: those that tie have the same values in all columns.
    key: list[str]
    # Whether no rows tie.
    is_unique: bool
    outer: Scope | None = None
    # In a grouped query: what it is grouped by. Then `columns` are those of its groups, and `rows` is what is grouped.
    groups: list[tuple[Node, str]] = field(default_factory=list)
    rows: Scope | None = None
    # How deep subqueries may still be.
    depth: int = 0
    # The order of aggregates that need one. Segmill refuses two orders.
    order: Node | None = None
    # Whether windows are allowed.
    windows: bool = False
    # Whether only the truth is asked, as in a `where`: neither of the two can run all subqueries elsewhere.
    asks: bool = False


class Expressions:
    """What makes expressions. The queries within them are made by `Grammar`."""

    def __init__(self, random: Random):
        self.random = random

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def order(self, keys: Sequence[str]) -> Node:
        raise NotImplementedError

    def origin(self, outer: Scope | None, depth: int, counts: Sequence[int] = ...) -> tuple[Node, Scope]:
        raise NotImplementedError

    def ordered(self, shape: list[str], outer: Scope | None, depth: int) -> tuple[Node, list[tuple[str, str]], bool]:
        raise NotImplementedError

    def where(self, scope: Scope) -> Node:
        raise NotImplementedError

    def equality(self, left: Scope, right: Scope) -> Node | None:
        raise NotImplementedError

    # Expressions

    def expr(self, kind: str, scope: Scope, depth: int) -> Node:
        scope = replace(scope, asks=False)
        if depth <= 0 or self.chance(0.3):
            return self.leaf(kind, scope)
        if scope.depth > 0 and self.chance(0.1):
            return self.scalar_subquery(kind, scope)
        if kind == "bool":
            return self.condition(scope, depth)
        if self.chance(0.3):
            return self.any_kind(kind, scope, depth - 1)
        return getattr(self, f"of_{kind}")(scope, depth - 1)

    def leaf(self, kind: str, scope: Scope) -> Node:
        if scope.windows and self.chance(0.4):
            return self.window(kind, scope)
        if scope.rows is not None:
            groups = [key for key, of in scope.groups if of == kind]
            if groups and self.chance(0.5):
                return self.random.choice(groups)
            return self.aggregate(kind, scope.rows)
        seen = scope
        while seen.outer is not None and self.chance(0.06):
            seen = seen.outer
        names = [name for name, of in seen.columns if of == kind]
        if names and self.chance(0.85):
            return node(kind, self.random.choice(names))
        return self.literal(kind)

    def literal(self, kind: str) -> Node:
        if self.chance(0.05):
            return node(kind, f"cast(null as {SQL_TYPES[kind]})")
        choices = {
            "int": ["0", "1", "2", "3", "10", "(-1)"],
            "dec": [f"cast({number} as decimal({type_}))" for number, type_ in DECIMALS],
            "text": [f"'{text}'" for text in TEXTS],
            "day": [f"date '{day}'" for day in DAYS],
            "moment": [f"timestamp '{moment}'" for moment in MOMENTS],
            "bool": ["true", "false"],
        }
        return node(kind, self.random.choice(choices[kind]))

    def any_kind(self, kind: str, scope: Scope, depth: int) -> Node:
        def one() -> Node:
            return self.expr(kind, scope, depth)

        form = self.random.choice(["coalesce", "nullif", "case", "case", "case of", "extreme"])
        if form == "coalesce":
            return node(kind, "coalesce(", listed([one() for _ in range(self.random.randint(2, 3))]), ")")
        if form == "nullif":
            return node(kind, "nullif(", one(), ", ", one(), ")")
        if form == "extreme":
            return node(kind, self.random.choice(["greatest(", "least("]), one(), ", ", one(), ")")
        otherwise = clause(" else ", one()) if self.chance(0.7) else NOTHING
        if form == "case of":
            of = self.random.choice(KINDS)
            base = self.expr(of, scope, depth)
            whens = [node("when", " when ", self.expr(of, scope, 0), " then ", one()) for _ in range(self.random.randint(1, 2))]
            return node(kind, "case ", base, listed(whens, ""), otherwise, " end")
        whens = [node("when", " when ", self.condition(scope, depth), " then ", one()) for _ in range(self.random.randint(1, 2))]
        return node(kind, "case", listed(whens, ""), otherwise, " end")

    def of_int(self, scope: Scope, depth: int) -> Node:
        def one(kind: str = "int") -> Node:
            return self.expr(kind, scope, depth)

        form = self.random.choice(["arithmetic", "arithmetic", "chain", "abs", "mod", "length", "part", "position", "cast", "minus"])
        if form == "arithmetic":
            return node("int", "(", one(), self.random.choice([" + ", " - ", " * "]), one(), ")")
        if form == "chain":
            return node("int", "(", one(), " + ", one(), " * ", one(), " - ", one(), ")")
        if form == "mod":
            return node("int", "(", one(), f" % {self.random.choice([2, 3, 7])})")
        if form == "length":
            return node("int", "length(", one("text"), ")")
        if form == "part":
            part = self.random.choice(["year", "month", "day", "quarter", "dow", "doy", "week"])
            return node("int", f"cast(extract({part} from ", one(self.random.choice(["day", "moment"])), ") as bigint)")
        if form == "position":
            return node("int", "strpos(", one("text"), ", ", one("text"), ")")
        if form == "cast":
            return node("int", "cast(", one("bool"), " as bigint)")
        return node("int", "abs(" if form == "abs" else "(- ", one(), ")")

    def of_dec(self, scope: Scope, depth: int) -> Node:
        def one(kind: str = "dec") -> Node:
            return self.expr(kind, scope, depth)

        form = self.random.choice(["arithmetic", "arithmetic", "mixed", "times", "product", "abs", "cast", "minus"])
        if form in ("arithmetic", "mixed"):
            return node("dec", "(", one("int" if form == "mixed" else "dec"), self.random.choice([" + ", " - "]), one(), ")")
        if form == "times":
            return node("dec", "cast(", one("int"), " * ", one(), f" as {SUM_TYPE})")
        factors = [name for name, _ in scope.columns if name.endswith((".d", ".e"))]
        if form == "product" and factors and scope.rows is None:
            return node("dec", f"cast({self.random.choice(factors)} * {self.random.choice(factors)} as {SUM_TYPE})")
        if form == "cast":
            return node("dec", "cast(", one("int"), " as decimal(18,3))")
        return node("dec", "abs(" if form == "abs" else "(- ", one(), ")")

    def of_text(self, scope: Scope, depth: int) -> Node:
        def one(kind: str = "text") -> Node:
            return self.expr(kind, scope, depth)

        form = self.random.choice(["||", "call", "call", "substr", "cast", "concat", "replace", "split"])
        if form == "||":
            return node("text", "(", one(), " || ", one(), ")")
        if form == "call":
            return node("text", self.random.choice(["lower(", "upper(", "trim(", "ltrim(", "rtrim(", "reverse("]), one(), ")")
        if form == "substr":
            return node("text", "substr(", one(), f", {self.random.choice([1, 2])}, {self.random.choice([1, 2])})")
        if form == "concat":
            return node("text", "concat(", listed([one(), one()]), ")")
        if form == "replace":
            return node("text", "replace(", one(), ", 'a', ", one(), ")")
        if form == "split":
            return node("text", "split_part(", one(), ", 'a', ", self.random.choice(["1", "2"]), ")")
        return node("text", "cast(", self.leaf_to_write(scope), " as varchar)")

    def leaf_to_write(self, scope: Scope) -> Node:
        """Something whose text is the same in both: no decimal, whose digits depend on the type that was found for it."""
        return self.expr(self.random.choice(["int", "bool"]), scope, 0)

    def of_day(self, scope: Scope, depth: int) -> Node:
        form = self.random.choice(["interval", "interval", "cast"])
        if form == "interval":
            # Not 30 days: DuckDB takes them for a month where both are in a query.
            interval = self.random.choice(["1 day", "45 day", "1 month", "12 month", "1 year"])
            sign = self.random.choice([" + ", " - "])
            return node("day", "cast(", self.expr("day", scope, depth), sign, f"interval '{interval}' as date)")
        return node("day", "cast(", self.expr("moment", scope, depth), " as date)")

    def of_moment(self, scope: Scope, depth: int) -> Node:
        form = self.random.choice(["interval", "interval", "trunc", "cast"])
        if form == "interval":
            interval = self.random.choice(["1 hour", "36 hour", "1 day", "1 month", "1 second"])
            return node("moment", "(", self.expr("moment", scope, depth), self.random.choice([" + ", " - "]), f"interval '{interval}')")
        if form == "trunc":
            part = self.random.choice(["hour", "day", "week", "month", "quarter", "year"])
            return node("moment", f"date_trunc('{part}', ", self.expr("moment", scope, depth), ")")
        return node("moment", "cast(", self.expr("day", scope, depth), " as timestamp)")

    # Conditions

    def condition(self, scope: Scope, depth: int) -> Node:
        if depth > 0 and self.chance(0.4):
            return self.connected(scope, depth - 1)
        if scope.depth > 0 and self.chance(0.3 if scope.asks else 0.02):
            return self.subquery_condition(scope)
        return self.simple(scope, depth - 1)

    def connected(self, scope: Scope, depth: int) -> Node:
        form = self.random.choice(["and", "and", "or", "or", "not", "is", "mixed"])
        one = self.condition(scope, depth)
        if form == "not":
            return node("bool", "(not ", one, ")")
        if form == "is":
            # Without parentheses `not exists (…) is null` is refused.
            one = node("bool", "(", one, ")")
            return node("bool", "(", one, self.random.choice([" is true", " is not true", " is false", " is not false", " is null"]), ")")
        if form == "mixed":
            return node("bool", "(", one, " or ", self.condition(scope, 0), " and not ", self.condition(scope, 0), ")")
        others = [self.condition(scope, depth) for _ in range(self.random.choice([1, 1, 2]))]
        return node("bool", "(", listed([one, *others], f" {form} "), ")")

    def comparison(self, left: Node, right: Node) -> Node:
        return node("bool", "(", left, f" {self.random.choice(COMPARISONS)} ", right, ")")

    def simple(self, scope: Scope, depth: int) -> Node:
        kind = self.random.choice(KINDS)
        depth = self.random.choice([0, 0, depth])
        one = self.expr(kind, scope, depth)
        form = self.random.choice(["compare", "compare", "compare", "null", "between", "list", "distinct", "like", "mixed", "bool"])
        if form == "bool" and scope.rows is None:
            return self.leaf("bool", scope)
        if form == "null":
            return node("bool", "(", one, self.random.choice([" is null", " is not null"]), ")")
        if form == "between":
            word = self.random.choice([" between ", " between ", " not between "])
            return node("bool", "(", one, word, self.expr(kind, scope, 0), " and ", self.expr(kind, scope, 0), ")")
        if form == "list":
            values = listed([self.literal(kind) for _ in range(self.random.randint(1, 4))])
            return node("bool", "(", one, self.random.choice([" in (", " not in ("]), values, "))")
        if form == "distinct":
            word = self.random.choice([" is distinct from ", " is not distinct from "])
            return node("bool", "(", one, word, self.expr(kind, scope, 0), ")")
        if form == "like":
            pattern = self.random.choice(["a%", "%a", "%a%", "_", "%", "", "a_", "A%", "%a%b%"])
            word = self.random.choice([" like ", " like ", " not like ", " ilike "])
            return node("bool", "(", self.expr("text", scope, depth), f"{word}'{pattern}')")
        if form == "mixed":
            return self.comparison(self.expr("int", scope, depth), self.expr("dec", scope, depth))
        return self.comparison(one, self.expr(kind, scope, depth))

    # Subqueries

    def inside(self, scope: Scope) -> Scope:
        """What a subquery sees of the query around it."""
        return Scope(scope.columns, [], False, scope.outer)

    def scalar_subquery(self, kind: str, scope: Scope) -> Node:
        is_correlated = self.chance(0.6)
        outer = self.inside(scope) if is_correlated else None
        origin, rows = self.origin(outer, 0)
        rows.outer = outer
        where = self.correlation(rows, scope if is_correlated else None)
        if is_correlated or self.chance(0.5):
            value = self.aggregate(kind, replace(rows, outer=None))
            if self.chance(0.2):
                value = node(kind, "coalesce(", value, ", ", self.literal(kind), ")")
            return node(kind, "(select ", value, origin, where, ")")
        value = self.expr(kind, rows, 1)
        return node(kind, "(select ", value, origin, where, node("order", " order by ", self.order(rows.key)), " limit 1)")

    def correlation(self, rows: Scope, scope: Scope | None) -> Node:
        equality = self.equality(scope, rows) if scope is not None and self.chance(0.9) else None
        parts = [equality] if equality else []
        if not parts or self.chance(0.3):
            parts.append(self.condition(rows, 1))
        return clause("\nwhere ", listed(parts, " and "))

    def subquery_condition(self, scope: Scope) -> Node:
        scope = replace(scope, windows=False)
        form = self.random.choice(["exists"] * 10 + ["in", "quantified"])
        if form == "exists":
            outer = self.inside(scope)
            origin, rows = self.origin(outer, 0)
            rows.outer = outer
            word = self.random.choice(["exists (", "not exists ("])
            return node("bool", word, "select 1 as one", origin, self.correlation(rows, scope), ")")
        if form == "in":
            return self.within(scope)
        kind = self.random.choice(KINDS)
        body, _, _ = self.ordered([kind], None, 0)
        word = self.random.choice([f" {comparison} {of} (" for comparison in COMPARISONS for of in ("any", "all")])
        return node("bool", "(", self.expr(kind, replace(scope, depth=0), self.random.choice([0, 0, 1])), word, body, "))")

    def within(self, scope: Scope) -> Node:
        """Whether a value is among those of a subquery."""
        word = self.random.choice([" in (", " not in ("])
        ids = [name for name, _ in scope.columns if name.endswith(".id")]
        if ids and self.chance(0.8):
            origin, rows = self.origin(None, 0, [1])
            keys = [name for name, _ in rows.columns if name.endswith(".id")]
            if keys:
                where = self.where(rows)
                return node("bool", "(", self.random.choice(ids), word, f"select {keys[0]} as one", origin, where, "))")
        kind = self.random.choice(KINDS)
        outer = self.inside(scope) if self.chance(0.15) else None
        body, _, _ = self.ordered([kind], outer, 0)
        return node("bool", "(", self.expr(kind, replace(scope, depth=0), self.random.choice([0, 0, 0, 1])), word, body, "))")

    # Aggregates and windows

    def aggregate(self, kind: str, rows: Scope) -> Node:
        rows = replace(rows, depth=0, windows=False, outer=None)
        within = self.expr(kind, rows, 1)
        only = clause(" filter (where ", self.condition(rows, 1), ")") if self.chance(0.15) else NOTHING
        distinct = "distinct " if self.chance(0.15) else ""
        if kind == "int" and self.chance(0.6):
            if self.chance(0.4):
                return node(kind, "count(*)", only)
            return node(kind, f"count({distinct}", self.expr(self.random.choice(KINDS), rows, 1), ")", only)
        if kind in ("int", "dec") and self.chance(0.6):
            type_ = "bigint" if kind == "int" else SUM_TYPE
            return node(kind, f"cast(sum({distinct}", within, ")", only, f" as {type_})")
        if kind == "bool":
            return node(kind, self.random.choice(["bool_and(", "bool_or("]), within, ")", only)
        order = rows.order or self.order(rows.key)
        if order.parts and self.chance(0.07):
            return node(kind, "(array_agg(", within, " order by ", order, f"))[{self.random.choice([1, 2])}]")
        if kind == "text" and order.parts and self.chance(0.3):
            return node(kind, "string_agg(", within, ", ',' order by ", order, ")", only)
        return node(kind, self.random.choice(["min(", "max("]), within, ")", only)

    def window(self, kind: str, scope: Scope) -> Node:
        plain = replace(scope, windows=False, depth=0)
        parts = NOTHING
        if self.chance(0.6):
            parts = clause("partition by ", listed([self.part(plain) for _ in range(self.random.choice([1, 1, 2]))]))
        keys = [key for key, _ in scope.groups] if scope.rows is not None else [node("key", key) for key in scope.key]
        nulls = [" nulls first", " nulls last", " desc nulls first", " desc nulls last"]
        order = [node("place", key, self.random.choice(nulls)) for key in self.random.sample(keys, len(keys))]
        within = self.expr(kind, plain, 1)
        if not order or self.chance(0.25):
            return self.unordered_window(kind, within, parts)
        by = node("order", " order by ", listed(order))
        if kind == "int" and self.chance(0.5):
            call = self.random.choice(["rank()", "dense_rank()", *(["row_number()", "ntile(2)", "ntile(3)"] if scope.is_unique else [])])
            return node(kind, f"{call} over (", parts, by, ")")
        if not scope.is_unique:
            return node(kind, self.random.choice(self.totals(kind)), within, ") over (", parts, by, self.frame(["range"]), ")")
        if self.chance(0.4):
            more = self.random.choice(["", ", 1", ", 2", ", 0"])
            return node(kind, self.random.choice(["lag(", "lead("]), within, more, ") over (", parts, by, ")")
        if self.chance(0.3):
            call = self.random.choice(["first_value(", "last_value("])
            return node(kind, call, within, ") over (", parts, by, self.frame(["rows"]), ")")
        return node(kind, self.random.choice(self.totals(kind)), within, ") over (", parts, by, self.frame(["rows", "range"]), ")")

    def part(self, scope: Scope) -> Node:
        if scope.rows is not None and scope.groups:
            return self.random.choice(scope.groups)[0]
        kind = self.random.choice(["int", "text", "bool", "day"])
        return self.expr(kind, scope, self.random.choice([0, 0, 1]))

    def totals(self, kind: str) -> list[str]:
        if kind == "bool":
            return ["bool_and(", "bool_or("]
        return ["min(", "max(", *(["sum("] if kind in ("int", "dec") else [])]

    def unordered_window(self, kind: str, within: Node, parts: Node) -> Node:
        if kind == "int" and self.chance(0.4):
            return node(kind, "count(", within, ") over (", parts, ")")
        return node(kind, self.random.choice(self.totals(kind)), within, ") over (", parts, ")")

    def frame(self, units: list[str]) -> Node:
        frame = self.random.choice(FRAMES)
        return clause(" ", frame) if frame.startswith(tuple(units)) else NOTHING
