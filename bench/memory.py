"""Measures what the memory of segments adds to a run: the same day is published on an empty destination, and on one that has the day before.

usage: memory.py --segmill PATH --data EXTRACTS [--as-of DAY] [--before DAY] [--rounds N]

EXTRACTS are those of `segmill generate` (bench/run.py makes them). Prints, for each step that memory takes part in, the milliseconds of
both runs from their records, and what the difference is of the whole run. The aim is 10 % at most at a million customers.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--segmill", type=Path, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--as-of", default="2011-12-10")
parser.add_argument("--before", default="2011-11-10")
parser.add_argument("--rounds", type=int, default=3)
arguments = parser.parse_args()
project = Path(__file__).resolve().parents[1]
STEPS = ["segment_membership", "write state", "write outputs", "check outputs"]


def run(destination: Path, day: str) -> dict[str, int]:
    """The milliseconds of the steps of a run."""
    environment = {**os.environ, "EXTRACTS": str(arguments.data.resolve())}
    record = destination / "record.json"
    command = [arguments.segmill.resolve(), "run", "--as-of", day, "--destination", destination / "out", "--record", record]
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    written = json.loads(record.read_text())
    found = {step: 0 for step in STEPS}
    for step in written["steps"]:
        if step["name"] in found:
            found[step["name"]] += step["elapsed_ms"]
    return {**found, "all": written["elapsed_ms"]}


alone, after = [], []
for _ in range(arguments.rounds):
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "alone").mkdir()
        (folder / "after").mkdir()
        alone.append(run(folder / "alone", arguments.as_of))
        run(folder / "after", arguments.before)
        after.append(run(folder / "after", arguments.as_of))
    finally:
        shutil.rmtree(folder)
whole = statistics.median(one["all"] for one in alone)
print(f"{'step':<20} {'first day':>10} {'after another':>14} {'of the run':>11}")
for step in [*STEPS, "all"]:
    first, second = (statistics.median(one[step] for one in runs) for runs in (alone, after))
    print(f"{step:<20} {first:>7.0f} ms {second:>11.0f} ms {(second - first) / whole:>10.1%}")
