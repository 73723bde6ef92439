"""Times a project in Segmill beside the same computation in DuckDB and Polars, and checks that all publish the same rows.

usage: run.py --project shipped --customers 100000 --segmill PATH; see --help and README.md.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import BENCH, BENCHMARKS, SHIPPED, Benchmark

if TYPE_CHECKING:
    import duckdb

# DuckDB and Polars are not imported here, but by what is measured and, at the end, by what compares:
# a child process begins with its parent's memory, which counts towards its peak.
CONTENDERS = ("segmill", "duckdb", "polars")


@dataclass(frozen=True)
class Usage:
    """What one run took."""

    wall: float
    cpu: float
    memory: int


@dataclass
class Contender:
    """A way to do the job: what to run, where it writes, and what its runs took."""

    name: str
    version: str
    command: list[str]
    out: Path
    published: Callable[[Path, str], list[Path]]
    runs: list[Usage] = field(default_factory=list)

    def median(self, of: Callable[[Usage], float]) -> float:
        """The middle of what the runs took."""
        return statistics.median(map(of, self.runs))


def main() -> None:
    """Runs the benchmark."""
    options = parse_arguments()
    benchmark: Benchmark = options.project
    extracts = generate(options)
    contenders = prepare(options, extracts)
    load = os.getloadavg()[0]
    warm(extracts)
    for number in range(1, options.rounds + 1):
        for contender in contenders:
            usage = measure(contender, extracts)
            contender.runs.append(usage)
            print(f"round {number}  {contender.name:<8} {usage.wall:8.2f} s", file=sys.stderr)
    title = f"{benchmark.title}, {options.customers:,} customers, e-mail as {'NDJSON' if options.email == 'ndjson' else 'Parquet'}"
    result = "\n".join([f"## {title}", *table(contenders), "", *circumstances(options, extracts, load)])
    print(result)
    first, *others = contenders
    problems = [problem for other in others for problem in disagreements(benchmark, first, other)]
    if problems:
        sys.exit("\n".join(["", "The outputs differ:", *problems]))
    if others:
        result += f"\n\nAll {len(contenders)} published the same rows."
        print(result.splitlines()[-1])
    if options.results:
        record(options.results, title, result)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Times Segmill beside DuckDB and Polars, and compares what they publish.")
    parser.add_argument("--project", choices=list(BENCHMARKS), default="shipped", help="what is computed: see README.md [shipped]")
    parser.add_argument("--customers", type=int, default=100_000, help="how many customers to generate extracts for [100000]")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs; medians are told [3]")
    parser.add_argument("--segmill", default="segmill", help="the optimised binary [segmill, on the path]")
    parser.add_argument("--data", type=Path, default=BENCH / "data", help="where extracts are kept from run to run [bench/data]")
    parser.add_argument(
        "--email",
        choices=["parquet", "ndjson"],
        default="parquet",
        help="the form of the e-mail extract; only the shipped project is measured with ndjson [parquet]",
    )
    parser.add_argument("--as-of", default="2011-12-10", help="the day that the outputs are as of [2011-12-10]")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="which to run, with commas between [segmill,duckdb,polars]")
    parser.add_argument("--results", type=Path, help="a Markdown file to keep the result in")
    options = parser.parse_args()
    options.project = BENCHMARKS[options.project]
    if options.email == "ndjson" and options.project is not SHIPPED:
        parser.error("--email ndjson is for --project shipped: the jobs of the others read Parquet")
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(CONTENDERS):
        parser.error(f"--only knows {', '.join(CONTENDERS)}, not {', '.join(sorted(unknown))}")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    found = shutil.which(options.segmill)
    if found is None:
        parser.error(f"there is no program {options.segmill}: build it with `cargo build --release` and name it with --segmill")
    options.segmill = str(Path(found).resolve())
    return options


def generate(options: argparse.Namespace) -> Path:
    """The folder of the extracts, made if it is not there."""
    name = f"{options.customers}-{options.email}"

    def segmill(folder: Path) -> list[str]:
        command = [options.segmill, "generate", str(folder), "--customers", str(options.customers)]
        return [*command, "--email-parquet"] if options.email == "parquet" else command

    extracts = made(options.data.resolve() / name, segmill)
    if not options.project.event_keys:
        return extracts
    # In a process of its own, as it needs DuckDB.
    return made(
        options.data.resolve() / f"{name}-repeats",
        lambda folder: [sys.executable, str(BENCH / "repeats.py"), str(extracts), str(folder)],
    )


def made(folder: Path, command: Callable[[Path], list[str]]) -> Path:
    """A folder that a command makes if it is not there. A folder with its name is complete."""
    if not folder.exists():
        print(f"generating {folder}", file=sys.stderr)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            unfinished = Path(scratch) / "extracts"
            subprocess.run(command(unfinished), check=True, stderr=subprocess.DEVNULL)
            unfinished.rename(folder)
    return folder


def prepare(options: argparse.Namespace, extracts: Path) -> list[Contender]:
    """The contenders, in the order in which they take turns."""
    benchmark: Benchmark = options.project
    outputs = BENCH / "out" / benchmark.name
    pipeline = with_keys(benchmark, outputs / "project") if benchmark.event_keys else benchmark.pipeline

    def job(name: str) -> Contender:
        out = outputs / name
        command = [sys.executable, "-m", benchmark.jobs[name], str(pipeline), str(extracts), options.as_of, str(out)]
        return Contender(name, importlib.metadata.version(name), command, out, lambda out, table: [out / f"{table}.parquet"])

    def segmill() -> Contender:
        out = outputs / "segmill"
        version = subprocess.run([options.segmill, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
        command = [options.segmill, "run", str(pipeline), "--as-of", options.as_of, "--destination", str(out)]
        return Contender("segmill", version, command, out, committed)

    return [segmill() if name == "segmill" else job(name) for name in CONTENDERS if name in options.only]


def with_keys(benchmark: Benchmark, folder: Path) -> Path:
    """A copy of a project whose sources of events have keys; its pipeline file."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(benchmark.pipeline.parents[1], folder)
    pipeline = folder / "pipelines" / benchmark.pipeline.name
    text = pipeline.read_text(encoding="utf-8")
    for source, key in benchmark.event_keys.items():
        # Only a source begins with its name alone on a line, two spaces deep.
        head, name, rest = text.partition(f"\n  {source}:\n")
        text = f"{head}{name}    key: [{', '.join(key)}]\n{rest}"
    pipeline.write_text(text, encoding="utf-8")
    return pipeline


def committed(out: Path, name: str) -> list[Path]:
    """The files of a table that Segmill's last commit names."""
    commit = json.loads(max((out / "commits").glob("*.json")).read_text(encoding="utf-8"))
    return [out / file["path"] for file in commit["tables"][name]["files"]]


def warm(extracts: Path) -> None:
    """Reads every extract once, so that nobody waits for the disk."""
    for file in sorted(extracts.rglob("*.*")):
        with file.open("rb") as opened:
            while opened.read(1 << 20):
                pass


def measure(contender: Contender, extracts: Path) -> Usage:
    """Runs a contender once, in a process of its own, into an empty folder."""
    shutil.rmtree(contender.out, ignore_errors=True)
    with tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        child = subprocess.Popen(
            contender.command,
            # Jobs import what they share.
            cwd=BENCH,
            env={**os.environ, "EXTRACTS": str(extracts)},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            told.seek(0)
            sys.exit(f"{contender.name} ended with {child.returncode}:\n{told.read().decode(errors='replace')}")
    # Linux tells kibibytes, macOS bytes.
    memory = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(wall, used.ru_utime + used.ru_stime, memory)


def table(contenders: list[Contender]) -> Iterator[str]:
    """The medians side by side. A ratio is what a contender takes for each one that the first takes."""
    first = contenders[0]
    yield f"| | wall time | CPU time | peak memory | wall, {first.name} = 1 | CPU, {first.name} = 1 | memory, {first.name} = 1 |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    measures: list[Callable[[Usage], float]] = [lambda u: u.wall, lambda u: u.cpu, lambda u: u.memory]
    for contender in contenders:
        wall, cpu, memory = (contender.median(of) for of in measures)
        ratios = " | ".join(f"{contender.median(of) / first.median(of):.2f}" for of in measures)
        walls = sorted(usage.wall for usage in contender.runs)
        spread = f" ({walls[0]:.2f} to {walls[-1]:.2f})" if len(walls) > 1 else ""
        name = f"{contender.name} {contender.version}"
        yield f"| {name} | {wall:.2f} s{spread} | {cpu:.2f} s | {memory / 2**20:,.0f} MiB | {ratios} |"


def circumstances(options: argparse.Namespace, extracts: Path, load: float) -> Iterator[str]:
    """Where, when and how the measures were taken."""
    size = sum(file.stat().st_size for file in extracts.rglob("*.*")) / 2**20
    of = f"Medians of {options.rounds} interleaved rounds" if options.rounds > 1 else "One round"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield f"{of} over {size:,.0f} MiB of extracts, page cache warm, on {date.today()}."
    yield f"{processor()}, {cores} cores, {memory:.0f} GiB of memory; {system}; load before the first round {load:.1f}."


def processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def disagreements(benchmark: Benchmark, one: Contender, other: Contender) -> Iterator[str]:
    """How the published tables of two contenders differ, as lines to read."""
    # Here and not above: see the head of this file.
    import duckdb

    from project import segments_left_out

    db = duckdb.connect()
    left_out = segments_left_out(benchmark.pipeline, benchmark.left_out)
    for name, key in benchmark.tables.items():
        for contender, view in ((one, "one"), (other, "other")):
            rows = db.read_parquet([str(file) for file in contender.published(contender.out, name)])
            # Only Segmill remembers who was in a segment before: of memberships the others have the key alone.
            rows = rows.project(", ".join(key)) if name == "segment_membership" else rows
            rows = rows.project(", ".join(column for column in rows.columns if column not in benchmark.left_out))
            if "segment" in key:
                is_left_out = " or ".join(f"(segment_set = '{of}' and segment = '{segment}')" for of, segment in left_out)
                rows = rows.filter(f"not ({is_left_out or 'false'})")
            rows.create_view(view, replace=True)
        columns = [db.execute(f"select column_name, column_type from (describe {view})").fetchall() for view in ("one", "other")]
        if columns[0] != columns[1]:
            names = [" ".join(map(str, column)) for column in sorted(set(columns[0]) ^ set(columns[1]))]
            yield f"{name}: {one.name} and {other.name} differ in columns: {', '.join(names) or 'their order'}"
            continue
        counted = "select count(*) from (from {} except all from {})"
        differing = [db.execute(counted.format(*views)).fetchall()[0][0] for views in (("one", "other"), ("other", "one"))]
        if any(differing):
            yield f"{name}: {differing[0]:,} rows of {one.name} and {differing[1]:,} of {other.name} are not in the other, such as"
            yield from differing_values(db, key, [column for column, _ in columns[0]], one.name, other.name)


def differing_values(db: "duckdb.DuckDBPyConnection", key: list[str], columns: list[str], one: str, other: str) -> Iterator[str]:
    """Some rows that only one table has, and some values of rows that both have."""
    keys = ", ".join(key)
    for view, absent, name in (("one", "other", one), ("other", "one", other)):
        missing = f"select {keys} from {view} anti join {absent} using ({keys}) order by all limit 3"
        for row in db.execute(missing).fetchall():
            yield f"  {', '.join(map(str, row))}: only in {name}"
    for column in (column for column in columns if column not in key):
        pairs = f"select {keys}, one.{column}, other.{column} from one join other using ({keys})"
        differing = f"{pairs} where one.{column} is distinct from other.{column} order by all limit 3"
        for row in db.execute(differing).fetchall():
            place = ", ".join(map(str, row[:-2]))
            yield f"  {place}: {column} is {row[-2]!s} in {one} and {row[-1]!s} in {other}"


def record(path: Path, title: str, result: str) -> None:
    """Puts a result into a file of results, in place of an earlier one of the same title."""
    empty = "# Results\nMade by `run.py`; see [README.md](README.md)."
    sections = (path.read_text(encoding="utf-8") if path.exists() else empty).rstrip().split("\n\n## ")
    head, *rest = sections
    kept = [section for section in rest if section.splitlines()[0] != title]
    kept.append(result.removeprefix("## "))
    path.write_text("\n\n## ".join([head, *kept]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
