"""What the contenders take from the pipeline file, so that contracts, weights and rules stand in one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml


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
    """A pipeline, for a run as of one day."""

    as_of: date
    parameters: dict[str, Any]
    reference: dict[str, list[list[Any]]]
    columns: dict[str, dict[str, dict[str, Any]]]
    keys: dict[str, list[str]]
    segments: list[Segment]
    identifiers: dict[str, dict[str, Any]]

    @property
    def calling_code(self) -> str:
        """The code of the country whose phone numbers are written without one."""
        return {"GB": "44"}[self.parameters["default_region"]]

    @property
    def blocked_emails(self) -> list[str]:
        """The e-mail addresses, or patterns of them, that stand for nobody."""
        return self.identifiers["email"]["blocked"]

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


def reads_any(rule: str, columns: Sequence[str]) -> bool:
    """Whether a segment rule reads any of some columns."""
    return any(column in rule for column in columns)


def segments_left_out(pipeline: Path, left_out: Sequence[str]) -> list[tuple[str, str]]:
    """The segments whose rules read columns that are left out, each with its set."""
    declared = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["segments"]
    return [
        (name, segment["name"])
        for name, segment_set in declared.items()
        for segment in segment_set["segments"]
        if reads_any(segment["when"], left_out)
    ]


def load(pipeline: Path, as_of: str, left_out: Sequence[str] = ()) -> Project:
    """Reads a pipeline file, without the segments whose rules read columns that are left out."""
    file = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
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
        for name, declared in file["segments"].items()
        for position, segment in enumerate(declared["segments"], start=1)
        if not reads_any(segment["when"], left_out)
    ]
    return Project(
        as_of=date.fromisoformat(as_of),
        parameters={name: parameter["default"] for name, parameter in file["parameters"].items()},
        reference={name: table["rows"] for name, table in file.get("reference", {}).items()},
        columns={name: source["columns"] for name, source in file["sources"].items()},
        keys={name: source.get("key", []) for name, source in file["sources"].items()},
        segments=segments,
        identifiers=file["identity"]["types"],
    )
