"""Publishes what the checks of this folder load: two days of the sample, and what becomes of them later.

usage: publish.py FOLDER; SEGMILL names the program

FOLDER gets the project and three destinations: `first` has 2011-12-09 and 2011-12-10; in `again` the second of them is published anew, with
a column more, a table less and other scores; in `withdrawn` it is withdrawn. The project is the sample with a table that has values of
every type, lists among them, and names and descriptions that must be quoted.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

folder, segmill = Path(sys.argv[1]).resolve(), os.environ["SEGMILL"]
project = folder / "project"
FACTS = """    customer_facts:
      model: customer_facts
      sort: [customer_id]
      columns:
        'Words, of "x"': It's "quoted"; a \\\\ backslash, `ticks`, 100% -- and no comment
        moments: All orders
"""


def call(*arguments):
    result = subprocess.run([segmill, *map(str, arguments)], cwd=project, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"segmill {' '.join(map(str, arguments))}: {result.returncode}\n{result.stderr}")


def edit(path, old, new):
    text = (project / path).read_text()
    if old not in text:
        sys.exit(f"{path} has no {old!r}")
    (project / path).write_text(text.replace(old, new, 1))


for made in ["project", "first", "again", "withdrawn"]:
    shutil.rmtree(folder / made, ignore_errors=True)
subprocess.run([segmill, "init", project], check=True, capture_output=True)
shutil.copy(Path(__file__).parent / "customer_facts.sql", project / "sql")
pipeline = "pipelines/customer_segments.yaml"
edit(pipeline, "    identity_aliases: {model", FACTS + "    identity_aliases: {model")
for day in ["2011-12-09", "2011-12-10"]:
    call("run", "--as-of", day, "--destination", folder / "first")

shutil.copytree(folder / "first", folder / "again")
edit("sql/customer_facts.sql", "    moments.last_moment\n", "    moments.last_moment,\n    customers.country\n")
edit(pipeline, "    buying_clusters: {model: clustered.buying_groups, sort: [cluster_number]}\n", "")
call("run", "--as-of", "2011-12-10", "--param", "high_engagement=8", "--destination", folder / "again")

shutil.copytree(folder / "again", folder / "withdrawn")
for copy in (folder / "withdrawn").glob("customers/as_of=2011-12-10/*"):
    copy.unlink()
for file in (folder / "withdrawn").glob("runs/2011-12-10-*/customers.parquet"):
    file.unlink()
call("clean", "--repair", "--destination", folder / "withdrawn")
