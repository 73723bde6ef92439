"""Times the identity step beside scipy and DuckDB on the same generated edges.

usage: compare.py BINARY [--edges N] [--identifiers N] [--duckdb-edges N] [--rounds N] [--only NAME,NAME]
       [--data DIR]

BINARY is what `cargo build --release --bench identity` makes. Each contender is a process of its own; what is told is its
wall time, its CPU time and its peak memory, in the median of rounds in which they take turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Strings become codes with Arrow's hash table, the fastest way from Python; scipy then sees integers.
STRINGS = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
table = pq.read_table(sys.argv[1], columns=["identifier", "other"])
chunks = table["identifier"].chunks + table["other"].chunks
coded = pa.chunked_array(chunks).dictionary_encode()
codes = np.concatenate([chunk.indices.to_numpy() for chunk in coded.chunks])
nodes = len(coded.chunk(0).dictionary)
one, other = codes[: table.num_rows], codes[table.num_rows :]
del table, coded, codes
graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(nodes, nodes))
print(connected_components(graph, directed=False)[0])
"""

# The codes are given: what scipy takes when no identifier is a string.
INTEGERS = """
import sys, numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
one, other, nodes = np.load(sys.argv[1] + ".one.npy"), np.load(sys.argv[1] + ".other.npy"), int(sys.argv[2])
graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(nodes, nodes))
print(connected_components(graph, directed=False)[0])
"""

ENCODE = STRINGS.split("del table")[0] + """
np.save(sys.argv[1] + ".one.npy", one); np.save(sys.argv[1] + ".other.npy", other); print(nodes)
"""

DUCKDB = """
import sys, duckdb
db = duckdb.connect()
db.execute("create table edges as select identifier as a, other as b from read_parquet(?)", [sys.argv[1]])
print(db.execute('''
    with recursive ties as (select a, b from edges union select b, a from edges),
    reach (node, root) using key (node) as (
        select a, min(least(a, b)) from ties group by a
        union
        select t.a, min(r.root) from reach as r join ties as t on t.b = r.node join recurring.reach as s on s.node = t.a
        where r.root < s.root group by t.a
    )
    select count(distinct root) from reach
''').fetchone()[0])
"""


def measure(command: list[str]) -> tuple[float, float, float, str]:
    """Wall seconds, CPU seconds, peak MiB and what was said."""
    with tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        said = told.read().decode(errors="replace").strip()
    if child.returncode:
        said = "failed: " + (said.splitlines() or ["killed"])[-1]
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def main() -> None:
    """Runs the contenders and prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--identifiers", type=int, default=6_000_000)
    parser.add_argument("--duckdb-edges", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="read,components,resolve,guarded,strings,integers,duckdb")
    options = parser.parse_args()

    def edges(count: int, identifiers: int) -> str:
        file = options.data / f"edges-{count}.parquet"
        if not file.exists():
            subprocess.run([options.binary, "generate", str(file), str(count), str(identifiers)], check=True, stdout=sys.stderr)
        return str(file)

    large = edges(options.edges, options.identifiers)
    small = edges(options.duckdb_edges, options.duckdb_edges * options.identifiers // options.edges)
    only = options.only.split(",")
    contenders = {
        "read": ("reading and hashing once", [options.binary, "read", large]),
        "components": ("segmill, components alone", [options.binary, "components", large]),
        "resolve": ("segmill, all that a run needs", [options.binary, "resolve", large]),
        "guarded": ("segmill, all, with the guards of the shipped project", [options.binary, "resolve", large, "2", "guarded"]),
        "strings": ("scipy, strings coded by Arrow", [sys.executable, "-c", STRINGS, large]),
    }
    if "integers" in only:
        nodes = measure([sys.executable, "-c", ENCODE, large])[3]
        contenders["integers"] = ("scipy, integers given", [sys.executable, "-c", INTEGERS, large, nodes])
    contenders["small"] = (f"segmill, {options.duckdb_edges:,} edges", [options.binary, "resolve", small])
    contenders["duckdb"] = (f"DuckDB, recursive, {options.duckdb_edges:,} edges", [sys.executable, "-c", DUCKDB, small])
    print(f"{options.edges:,} edges over {options.identifiers:,} identifiers\n", flush=True)
    print("| | wall | CPU | peak memory |\n| --- | ---: | ---: | ---: |")
    chosen = [name for name in contenders if name in only or name == "small" and "duckdb" in only]
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in chosen}
    for _ in range(options.rounds):
        for name in chosen:
            title, command = contenders[name]
            *numbers, said = measure(command)
            measured[name].append(tuple(numbers))
            print(f"{title}: {numbers[0]:.1f} s, {said}", file=sys.stderr)
    for name in chosen:
        wall, cpu, memory = (statistics.median(column) for column in zip(*measured[name], strict=True))
        print(f"| {contenders[name][0]} | {wall:.1f} s | {cpu:.1f} s | {memory:,.0f} MiB |", flush=True)


if __name__ == "__main__":
    main()
