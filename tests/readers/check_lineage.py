"""Holds OpenLineage events, a line each in the files of a folder, against the official schemas.

    check_lineage.py DIR

An event must follow the schema of run events, each of its facets the schema that it names, under the key and at the place that
this schema is for. A run has one START and then one end. All kinds of ends must occur.
"""

import collections
import json
import pathlib
import sys

import jsonschema
import referencing
import referencing.jsonschema

SCHEMAS = pathlib.Path(__file__).parent.parent / "lineage" / "schemas"
BASE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
# Where a facet may stand, by the kind of facet that it extends. Integrations such as that of dbt put the assertions of outputs
# among the facets of the dataset, since the specification has them as facets of inputs alone.
PLACES = {
    "RunFacet": {"run"},
    "JobFacet": {"job"},
    "DatasetFacet": {"dataset"},
    "InputDatasetFacet": {"input"},
    "OutputDatasetFacet": {"output"},
}
ALSO = {"dataQualityAssertions": {"dataset"}}


def schemas():
    """The schemas by their address."""
    found = {}
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = json.loads(path.read_text())
        found[schema["$id"]] = schema
    return found


def registry(found):
    """What resolves the addresses of schemas."""
    resource = referencing.Resource.from_contents
    return referencing.Registry().with_resources((address, resource(schema)) for address, schema in found.items())


def extends(schema, kind):
    """The kind of facet that a facet extends."""
    refs = [part["$ref"] for part in schema["$defs"][kind]["allOf"] if "$ref" in part]
    return refs[0].rsplit("/", 1)[1]


class Checker:
    """Holds events against the schemas."""

    def __init__(self):
        self.schemas = schemas()
        self.registry = registry(self.schemas)
        self.problems = []
        self.facets = collections.Counter()

    def follows(self, what, value, reference):
        """Reports where a value does not follow a schema."""
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        validator = jsonschema.Draft202012Validator({"$ref": reference}, registry=self.registry, format_checker=checker)
        for error in validator.iter_errors(value):
            self.problems.append(f"{what}: {error.json_path}: {error.message[:300]}")

    def facet(self, what, place, key, facet):
        """Holds a facet against the schema that it names."""
        self.facets[key] += 1
        named = facet.get("_schemaURL", "")
        address, _, pointer = named.partition("#/$defs/")
        schema = self.schemas.get(address)
        if schema is None or pointer not in schema["$defs"]:
            self.problems.append(f"{what}: {key}: {named} is not there")
            return
        self.follows(f"{what}: {key}", facet, named)
        if address == BASE:
            kind = pointer
        else:
            kind = extends(schema, pointer)
            if schema["properties"].get(key) != {"$ref": f"#/$defs/{pointer}"}:
                self.problems.append(f"{what}: {key} is not the key of {pointer}")
        if place not in PLACES[kind] | ALSO.get(key, set()):
            self.problems.append(f"{what}: {key} stands at {place}, and extends {kind}")

    def event(self, what, event):
        """Holds an event against the schemas."""
        self.follows(what, event, f"{BASE}#/$defs/RunEvent")
        if event.get("schemaURL") != f"{BASE}#/$defs/RunEvent":
            self.problems.append(f"{what}: it names another schema: {event.get('schemaURL')}")
        places = [("run", event["run"].get("facets", {})), ("job", event["job"].get("facets", {}))]
        for dataset in event.get("inputs", []):
            places += [("dataset", dataset.get("facets", {})), ("input", dataset.get("inputFacets", {}))]
        for dataset in event.get("outputs", []):
            places += [("dataset", dataset.get("facets", {})), ("output", dataset.get("outputFacets", {}))]
        for place, facets in places:
            for key, facet in facets.items():
                self.facet(what, place, key, facet)
        self.fields(what, event)

    def fields(self, what, event):
        """Columns that facets name must be columns of their datasets."""
        known = {}
        for dataset in event.get("inputs", []) + event.get("outputs", []):
            name = (dataset["namespace"], dataset["name"])
            if name in known:
                self.problems.append(f"{what}: {name} stands in it twice")
            known[name] = {field["name"] for field in dataset["facets"]["schema"]["fields"]}
        for dataset in event.get("outputs", []):
            own = known[dataset["namespace"], dataset["name"]]
            for column, made_of in dataset["facets"].get("columnLineage", {"fields": {}})["fields"].items():
                if column not in own:
                    self.problems.append(f"{what}: {dataset['name']} has no {column}")
                for field in made_of["inputFields"]:
                    if field["field"] not in known.get((field["namespace"], field["name"]), set()):
                        self.problems.append(f"{what}: {column} is made of {field}, which no input has")


def main(folder):
    checker = Checker()
    kinds, runs = collections.Counter(), collections.defaultdict(list)
    for path in sorted(pathlib.Path(folder).glob("*.ndjson")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            event = json.loads(line)
            checker.event(f"{path.name}:{number}", event)
            kinds[event["eventType"]] += 1
            runs[path.name, event["run"]["runId"]].append(event)
    for (file, run), events in runs.items():
        types = [event["eventType"] for event in events]
        if len(types) != 2 or types[0] != "START" or types[1] not in ("COMPLETE", "ABORT", "FAIL"):
            checker.problems.append(f"{file}: the run {run} has the events {types}")
        if events[0]["eventTime"] > events[-1]["eventTime"]:
            checker.problems.append(f"{file}: the run {run} ended before it began")
    for kind in ("START", "COMPLETE", "ABORT", "FAIL"):
        if not kinds[kind]:
            checker.problems.append(f"no event is a {kind}")
    for problem in checker.problems[:50]:
        print(problem)
    facets = ", ".join(f"{key} {count}" for key, count in sorted(checker.facets.items()))
    print(f"{sum(kinds.values())} events of {len(runs)} runs: {dict(kinds)}; facets: {facets}")
    print(f"{len(checker.problems)} problems" if checker.problems else "each follows the schemas")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
