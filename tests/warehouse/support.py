"""What the checks of this folder share: running a loader, and comparing what has arrived with what the files say."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "warehouse"
sys.path.insert(0, str(EXAMPLES))
FOLDER = Path(os.environ["LOADS_FOLDER"])
# The loaders run in the folder of the project, as their users run them.
os.chdir(FOLDER / "project")
EARLIER, DAY = "2011-12-09", "2011-12-10"


def at(destination):
    """From now on loaders and `segmill outputs` look at this destination."""
    os.environ["DESTINATION"] = str(FOLDER / destination)


def start(loader, *arguments):
    return subprocess.Popen([sys.executable, EXAMPLES / loader, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(loader, *arguments, fails=False):
    """Runs a loader to its end, and gives what it printed."""
    process = start(loader, *arguments)
    printed, problems = process.communicate()
    if (process.returncode != 0) != fails:
        sys.exit(f"{loader} {' '.join(arguments)}: exit status {process.returncode}\n{printed}\n{problems}")
    return printed + problems


def published(day):
    """The tables of a day by name, with their files; from the commit, not through the loaders' own module."""
    folder = Path(os.environ["DESTINATION"])
    newest = json.loads(max((folder / "commits").glob("*.json")).read_text())
    commit = json.loads((folder / "commits" / f"{newest['publications'][day]:08}.json").read_text())
    return {name: [str(folder / file["path"]) for file in table["files"]] for name, table in commit["tables"].items()}


def schemas(day):
    """The types of each table's columns, as Parquet has them."""
    return {name: {field.name: str(field.type) for field in pq.read_schema(files[0])} for name, files in published(day).items()}


@functools.cache
def by_duckdb(*files):
    """The rows of files as an Arrow table, read by DuckDB."""
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    return db.read_parquet(list(files), hive_partitioning=False).to_arrow_table()


@functools.cache
def by_pyarrow(*files):
    """The same, read by pyarrow."""
    return pq.read_table(list(files), partitioning=None)


def differing(expected, arrived):
    """The rows of which one table has more than the other."""
    db = duckdb.connect()
    return db.sql("from expected except all from arrived").fetchall() + db.sql("from arrived except all from expected").fetchall()


def compare(target, day, read, found):
    """Compares every value of every table of a day; `found` gives an Arrow table, or tuples, of the columns named."""
    values = 0
    for table, files in published(day).items():
        expected = read(*files)
        arrived = found(table, expected.column_names, day)
        if not isinstance(arrived, pa.Table):
            # A value that is not of the type is refused, and not converted.
            columns = zip(*arrived) if arrived else [[]] * len(expected.schema)
            arrived = pa.table([pa.array(column, kind) for column, kind in zip(columns, expected.schema.types)], expected.column_names)
        arrived = arrived.cast(expected.schema)
        # Rows may come in another order.
        if not arrived.equals(expected) and (difference := differing(expected, arrived)):
            sys.exit(f"{target}, {table} as of {day}: {len(difference)} rows are missing, differ or should not be there, such as {difference[0]}")
        values += expected.num_rows * expected.num_columns
    print(f"{target}: {values:,} values as of {day} are those of the files", flush=True)


def check_types(target, day, meant, found):
    """Every column has the type that is meant; `meant` by the type in Parquet, `found` by table and column."""
    checked = set()
    for table, columns in schemas(day).items():
        for column, kind in columns.items():
            inner = kind.removeprefix("list<item: ").removesuffix(">")
            precision = inner.partition("(")[2]
            wanted = meant[inner.partition("(")[0]].replace("(…", f"({precision}")
            wanted = meant["list"].format(wanted) if inner != kind else wanted
            if found[table][column].replace(", ", ",") != wanted.replace(", ", ","):
                sys.exit(f"{target}: {table}.{column} is {found[table][column]}, and {wanted} is meant")
            checked.add(kind)
    print(f"{target}: {sum(map(len, schemas(day).values()))} columns have the types that are meant, of {len(checked)} in the files")


def check_comments(target, day, found):
    """Every column has the description that the published table of columns gives it."""
    described = 0
    for row in pq.read_table(published(day)["columns"], columns=["table_name", "column_name", "description"], partitioning=None).to_pylist():
        table, column, description = row.values()
        if (found[table].get(column) or None) != description:
            sys.exit(f"{target}: {table}.{column} is described by {found[table].get(column)!r} instead of {description!r}")
        described += description is not None
    assert described > 180, described
    print(f"{target}: {described} columns are described")
