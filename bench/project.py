"""What the contenders take from the pipeline file, so that contracts, weights and rules stand in one place."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

PIPELINE = Path(__file__).resolve().parent.parent / "pipelines" / "customer_segments.yaml"

# The tables that are compared, and the columns that each is sorted by and has one row for.
KEYS = {
    "customers": ["customer_id"],
    "segment_membership": ["segment_set", "segment", "customer_id"],
    "segment_summary": ["segment_set", "segment"],
}

# The columns that Segmill predicts or finds natively, and nobody else. The segments whose rules read them are left out too.
PREDICTED = [
    "p_alive",
    "expected_orders_90d",
    "expected_orders_365d",
    "expected_average_order_value",
    "lifetime_value",
    "lifetime_value_decile",
    "lifetime_value_share",
    "buying_cluster",
    "similarity_to_champions",
    "next_best_product",
    "traits",
]


def needs_prediction(rule: str) -> bool:
    """Whether a segment rule reads what is predicted."""
    return any(column in rule for column in PREDICTED)


@dataclass(frozen=True)
class Segment:
    """A segment of a set, with its place in it."""

    segment_set: str
    set_kind: str
    segment: str
    priority: int
    when: str
    description: str
    action: str
    channel: str


@dataclass(frozen=True)
class Project:
    """The shipped pipeline, for a run as of one day."""

    as_of: date
    parameters: dict[str, Any]
    reference: dict[str, list[list[Any]]]
    columns: dict[str, dict[str, dict[str, Any]]]
    segments: list[Segment]
    blocked_emails: list[str]

    @property
    def calling_code(self) -> str:
        """The code of the country whose phone numbers are written without one."""
        return {"GB": "44"}[self.parameters["default_region"]]

    def sets(self, kind: str) -> dict[str, list[Segment]]:
        """The segments of each set of a kind, `exclusive` or `overlapping`."""
        found: dict[str, list[Segment]] = {}
        for segment in self.segments:
            if segment.set_kind == kind:
                found.setdefault(segment.segment_set, []).append(segment)
        return found

    def required(self, source: str) -> list[str]:
        """The columns of a source that must have a value."""
        return [name for name, column in self.columns[source].items() if column.get("required")]

    def accepted(self, source: str) -> dict[str, list[str]]:
        """The columns of a source that may have only certain values, and those."""
        return {name: column["accepted"] for name, column in self.columns[source].items() if "accepted" in column}


def permitted(segment: dict[str, Any], permissions: dict[str, str]) -> str:
    """A segment's rule, and the condition on which its channel may reach a customer."""
    permission = permissions.get(segment["channel"])
    return segment["when"] if permission is None else f"({segment['when']}) and {permission}"


def predicted_segments() -> list[tuple[str, str]]:
    """The segments whose rules read what is predicted, each with its set."""
    pipeline = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    return [
        (name, segment["name"])
        for name, declared in pipeline["segments"].items()
        for segment in declared["segments"]
        if needs_prediction(segment["when"])
    ]


def load(as_of: str) -> Project:
    """Reads the pipeline file."""
    pipeline = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    segments = [
        Segment(
            segment_set=name,
            set_kind=declared["kind"],
            segment=segment["name"],
            priority=position,
            when=permitted(segment, declared.get("permissions", {})),
            description=segment["description"],
            action=segment["action"],
            channel=segment["channel"],
        )
        for name, declared in pipeline["segments"].items()
        for position, segment in enumerate(declared["segments"], start=1)
        if not needs_prediction(segment["when"])
    ]
    return Project(
        as_of=date.fromisoformat(as_of),
        parameters={name: parameter["default"] for name, parameter in pipeline["parameters"].items()},
        reference={name: table["rows"] for name, table in pipeline["reference"].items()},
        columns={name: source["columns"] for name, source in pipeline["sources"].items()},
        segments=segments,
        blocked_emails=pipeline["identity"]["types"]["email"]["blocked"],
    )
