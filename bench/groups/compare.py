"""k-means by Segmill and by scikit-learn, on the same simulated customers, at the same number type, tolerance and inertia.

usage: compare.py --groups PATH [--customers 1000000] [--data DIR]
PATH is the benchmark `groups`, built by `cargo bench --bench groups --no-run`; see README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy
from sklearn.cluster import KMeans

COLUMNS = 6
GROUPS = 8
STARTS = 10


def main() -> None:
    """Measures, prints a table, and ends with 1 if Segmill is slower, or its groups are worse by a thousandth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", required=True, help="the benchmark's binary")
    parser.add_argument("--customers", type=int, default=1_000_000, help="how many customers there are [1000000]")
    parser.add_argument("--data", type=Path, default=Path("bench/data"), help="where customers are kept [bench/data]")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    file = options.data / f"customers-{options.customers}.f64"
    if not file.exists():
        subprocess.run([options.groups, "generate", str(file), str(options.customers)], check=True)
    points = numpy.fromfile(file, dtype="<f8").reshape(-1, COLUMNS)
    threads = len(os.sched_getaffinity(0))
    print(f"{len(points):,} customers, {COLUMNS} columns, {GROUPS} groups, {STARTS} starts, {threads} threads")
    agree = [compare(options.groups, file, points, tolerance, threads) for tolerance in (1e-4, 0.0)]
    sys.exit(0 if all(agree) else 1)


def compare(groups: str, file: Path, points: numpy.ndarray, tolerance: float, threads: int) -> bool:
    """Both with one tolerance; whether Segmill is as fast and as good."""
    # scikit-learn multiplies its tolerance by the mean variance of the columns; Segmill is told the product.
    scaled = tolerance * float(numpy.mean(numpy.var(points, axis=0)))
    command = [groups, "fit", str(file), str(GROUPS), str(STARTS), repr(scaled), str(threads)]
    own = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    begun = time.perf_counter()
    fitted = KMeans(GROUPS, n_init=STARTS, tol=tolerance, max_iter=300, random_state=1).fit(points)
    seconds = time.perf_counter() - begun
    print(f"  tolerance {tolerance}")
    print(f"    segmill       {own['seconds']:8.2f} s  inertia {own['inertia']:.2f}")
    print(f"    scikit-learn  {seconds:8.2f} s  inertia {fitted.inertia_:.2f}")
    return own["seconds"] <= seconds and own["inertia"] <= fitted.inertia_ * 1.001


if __name__ == "__main__":
    main()
