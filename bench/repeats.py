"""Makes extracts in which a hundredth of the web and e-mail events were delivered twice.

usage: repeats.py EXTRACTS OUT_DIR

OUT_DIR holds the files of EXTRACTS, as hard links, and one file more for each of the two sources, with the repeated rows.
"""

import os
import shutil
import sys
from pathlib import Path

import duckdb

SOURCES = ("web", "email")


def main(extracts: Path, out: Path) -> None:
    """Makes the extracts."""
    shutil.copytree(extracts, out, copy_function=os.link)
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    for source in SOURCES:
        # Ids are given in order of time within a month, so these are spread over the whole period.
        db.read_parquet(str(extracts / source / "*.parquet")).filter("event_id % 100 = 0").order("event_id").write_parquet(
            str(out / source / "repeats.parquet"), compression="zstd"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
