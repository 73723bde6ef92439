"""BG/NBD by Segmill and by the Python package Lifetimes, on the same simulated customers.

usage: compare.py --predict PATH [--customers 1000000] [--data DIR]
PATH is the benchmark `predict`, built by `cargo bench --bench predict --no-run`; see README.md.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas
from lifetimes import BetaGeoFitter


def main() -> None:
    """Measures, prints a table, and ends with 1 if the fits differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predict", required=True, help="the benchmark's binary")
    parser.add_argument("--customers", type=int, default=1_000_000, help="how many customers buy in whole days [1000000]")
    parser.add_argument("--data", type=Path, default=Path("bench/data"), help="where histories are kept [bench/data]")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    agree = True
    for customers, unit in ((options.customers, "days"), (100_000, "moments")):
        file = options.data / f"histories-{customers}-{unit}.csv"
        if not file.exists():
            subprocess.run([options.predict, "generate", str(file), str(customers), unit], check=True)
        agree &= compare(options.predict, file)
    sys.exit(0 if agree else 1)


def compare(predict: str, file: Path) -> bool:
    """Both on one file; whether they find the same."""
    own = json.loads(subprocess.run([predict, "fit", str(file)], check=True, capture_output=True).stdout)
    histories = pandas.read_csv(file)
    print(f"{own['customers']:,} customers with {own['histories']:,} distinct histories")
    print(f"  segmill, grouping included     {own['seconds']:8.2f} s  log likelihood {own['log_likelihood']:.3f}")
    begun = time.perf_counter()
    grouped = histories.groupby(["repeats", "last", "observed"]).size().reset_index(name="customers")
    fitted = lifetimes(grouped, grouped["customers"])
    print(f"  lifetimes, grouping included   {time.perf_counter() - begun:8.2f} s  {shown(fitted)}")
    begun = time.perf_counter()
    ungrouped = lifetimes(histories, None)
    print(f"  lifetimes, ungrouped           {time.perf_counter() - begun:8.2f} s  {shown(ungrouped)}")
    found = {parameter["name"]: parameter["value"] for parameter in own["parameters"]}
    differing = [name for name, value in found.items() if abs(value / fitted.params_[name] - 1) > 1e-3]
    if differing:
        print(f"  they differ in {', '.join(differing)}: {found} and {dict(fitted.params_)}")
    return not differing


def lifetimes(histories: pandas.DataFrame, weights: "pandas.Series | None") -> BetaGeoFitter:
    """A fit by the package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BetaGeoFitter().fit(histories["repeats"], histories["last"], histories["observed"], weights=weights, tol=1e-9)


def shown(fitted: BetaGeoFitter) -> str:
    """The parameters, since the package's likelihood is a mean."""
    return ", ".join(f"{name} {value:.4f}" for name, value in fitted.params_.items())


if __name__ == "__main__":
    main()
