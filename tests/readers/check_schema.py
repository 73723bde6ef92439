"""Asks another implementation of JSON Schema whether the kept schemas accept what Segmill accepts and refuse what it refuses.

usage: check_schema.py
"""

import json
import re
import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

package = Path(__file__).resolve().parents[2]
# Mistakes that the schema tells; the others need the SQL, the environment or a look at two places.
TOLD = ["out-of-range", "unknown-key", "unknown-type", "unknown-value", "wrong-type"]


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, in which a day and `yes` are text."""

    yaml_implicit_resolvers = {}


for kind, pattern, first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), first)

# PyYAML would take a leading zero for base eight.
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def schema(path):
    kept = json.loads((package / path).read_text())
    Draft202012Validator.check_schema(kept)
    return Draft202012Validator(kept)


def refusals(validator, path):
    return [error.message for error in validator.iter_errors(yaml.load(path.read_text(), Core))]


pipeline, cases = schema("pipelines/pipeline.schema.json"), schema("tests/models/cases.schema.json")
errors = package / "tests/errors"
accepted = 0
for validator, files in [
    (pipeline, [*package.glob("pipelines/*.yaml"), *errors.glob("base/pipelines/*.yaml")]),
    (cases, [*package.glob("tests/models/*.yaml"), *errors.glob("base/tests/models/*.yaml")]),
]:
    for path in files:
        found = refusals(validator, path)
        assert not found, f"{path} is sound, and yet: {found}"
        accepted += 1
refused = 0
for code in TOLD:
    path = errors / code / "pipelines/customer_segments.yaml"
    assert refusals(pipeline, path), f"{path} has a mistake that the schema does not tell"
    refused += 1
# Every source needs a location, and all but snapshots need an event time.
for key in ["location", "event_time"]:
    without = yaml.load((errors / "base/pipelines/customer_segments.yaml").read_text(), Core)
    del without["sources"]["orders"][key]
    assert list(pipeline.iter_errors(without)), f"the schema does not tell that `{key}` is missing"
    refused += 1
    for kind, needs in [("events", True), ("changes", True), ("snapshot", key == "location")]:
        without["sources"]["orders"]["kind"] = kind
        assert bool(list(pipeline.iter_errors(without))) == needs, f"`{key}` of a source of {kind}"
assert accepted >= 10, accepted
print(f"schemas: {accepted} sound files accepted, {refused} broken ones refused", file=sys.stderr)
