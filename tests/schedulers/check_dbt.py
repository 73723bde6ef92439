"""Builds and tests the dbt project of examples/dbt over what two runs have published.

    python check_dbt.py FOLDER

runs in the environment that run.sh makes, with `dbt` and `segmill` on PATH. FOLDER is emptied.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "dbt"


def equal(found, wanted, what: str):
    if found != wanted:
        raise SystemExit(f"dbt: {what}: found {found}, wanted {wanted}")


def main():
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    shop, project = folder / "shop", folder / "dbt"
    shutil.copytree(EXAMPLE, project)
    os.environ.update(
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
        DBT_PROFILES_DIR=str(project),
        SEGMENTS_DATABASE=str(folder / "segments.duckdb"),
    )

    def segmill(*arguments: str) -> str:
        return subprocess.run(["segmill", *arguments], cwd=shop, check=True, capture_output=True, text=True).stdout

    def dbt(*arguments: str) -> subprocess.CompletedProcess:
        """`dbt` with every warning as an error."""
        ended = subprocess.run(
            ["dbt", "--warn-error", "--no-use-colors", *arguments], cwd=project, capture_output=True, text=True
        )
        (folder / "log.txt").write_text(ended.stdout + ended.stderr)
        return ended

    def results() -> dict[str, str]:
        found = json.loads((project / "target/run_results.json").read_text())["results"]
        return {result["unique_id"].split(".")[2]: result["status"] for result in found}

    shop.parent.mkdir(exist_ok=True)
    subprocess.run(["segmill", "init", shop], check=True, capture_output=True)
    segmill("run", "--as-of", "2011-12-09")
    segmill("run", "--as-of", "2011-12-10")
    sources = segmill("outputs", "--format", "dbt")
    (project / "models/sources.yml").write_text(sources)

    built = dbt("build")
    equal(built.returncode, 0, f"dbt build ({folder / 'log.txt'})")
    equal(sorted(set(results().values())), ["pass", "success"], "results of dbt build")
    equal(len(results()), 6, "models and tests")
    with duckdb.connect(os.environ["SEGMENTS_DATABASE"]) as database:
        days = "select as_of::text, count(*), sum(members) from audience_sizes group by all order by 1"
        memberships = f"""
            select as_of::text, count(distinct (segment_set, segment)), count(*)
            from read_parquet('{shop}/out/segment_membership/as_of=*/*.parquet', hive_partitioning = true) group by all order by 1
        """
        equal(database.sql(days).fetchall(), database.sql(memberships).fetchall(), "rows of the model")
        equal([day for day, *_ in database.sql(days).fetchall()], ["2011-12-09", "2011-12-10"], "days of the model")

    # What the sources say is what is there: every table with its columns in order, their types, and their meaning.
    manifest = json.loads((project / "target/manifest.json").read_text())
    listed = json.loads(segmill("outputs", "--format", "json"))
    declared = {source["name"]: source for source in manifest["sources"].values()}
    equal(sorted(declared), sorted(table["table"] for table in listed["tables"]), "tables")
    for name, source in declared.items():
        described = duckdb.sql(f"describe select * from {source['relation_name']}").fetchall()
        wanted = {column: kind.lower() for column, kind, *_ in described}
        equal(
            {column["name"]: column["data_type"] for column in source["columns"].values()}, wanted, f"types of {name}"
        )
    customers = declared["customers"]["columns"]
    equal(
        [name for name, column in customers.items() if not column["description"]],
        [],
        "columns of customers without a description",
    )
    equal(
        [name for name, column in customers.items() if column["config"]["meta"].get("personal")],
        ["age"],
        "personal columns",
    )
    equal(
        customers["customer_id"]["description"], "The customer's id, stable from day to day", "the description of an id"
    )

    # Another destination, as for production, is given from outside.
    (shop / "out").rename(folder / "elsewhere")
    equal(
        dbt("build", "--vars", json.dumps({"segmill_destination": str(folder / "elsewhere")})).returncode,
        0,
        "another destination",
    )
    equal(dbt("build").returncode, 1, "a destination where nothing is")
    (folder / "elsewhere").rename(shop / "out")

    # The tests of the project notice a publication that does not add up.
    summary = shop / "out/segment_summary/as_of=2011-12-10/segment_summary.parquet"
    duckdb.sql(f"copy (select * replace (customers + 1 as customers) from '{summary}') to '{folder}/wrong.parquet'")
    shutil.move(folder / "wrong.parquet", summary)
    equal(dbt("build").returncode, 1, "a summary that is wrong")
    equal(results()["audience_sizes_agree_with_the_summary"], "fail", "the test of the summary")

    # The sample is old by now, and `dbt source freshness` says so.
    equal(dbt("source", "freshness", "--select", "source:customer_segments.customers").returncode, 1, "old sources")
    freshness = json.loads((project / "target/sources.json").read_text())["results"]
    equal(
        [(result["status"], result["max_loaded_at"][:10]) for result in freshness],
        [("error", "2011-12-10")],
        "freshness",
    )
    print("dbt: as wanted")


if __name__ == "__main__":
    main()
