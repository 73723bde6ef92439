"""Materialises the asset of examples/dagster in Dagster, on a good day and on bad ones.

    python check_dagster.py FOLDER

runs in the environment that run.sh makes, with `segmill` on PATH. FOLDER is emptied.
"""

import os
import re
import shutil
import subprocess
import sys
import unittest.mock
from pathlib import Path

import dagster as dg

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "dagster"


def equal(found, wanted, what: str):
    if found != wanted:
        raise SystemExit(f"dagster: {what}: found {found}, wanted {wanted}")


def checks(result) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def main():
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    project = folder / "shop"
    subprocess.run(["segmill", "init", project], check=True, capture_output=True)
    os.environ["SEGMILL_PROJECT"] = str(project)
    sys.path.insert(0, str(EXAMPLE))
    hurried = dg.RetryPolicy(max_retries=2, delay=0.1)
    with unittest.mock.patch("dagster.RetryPolicy", return_value=hurried):
        import definitions

    dg.Definitions.validate_loadable(definitions.definitions)
    asset = definitions.customer_segments
    instance = dg.DagsterInstance.ephemeral()

    def materialize(partition: str):
        return dg.materialize([asset], partition_key=partition, instance=instance, raise_on_error=False)

    # A good day: 9 December is over as of the 10th.
    result = materialize("2011-12-09")
    equal(result.success, True, "a good day")
    metadata = result.asset_materializations_for_node("customer_segments")[0].metadata
    equal((metadata["as_of"].value, metadata["number"].value), ("2011-12-10", 1), "metadata")
    equal(len(metadata["sources"].records), 6, "sources in the metadata")
    equal(metadata["dagster/row_count"].value > 5000, True, "customers in the metadata")
    good = {"accepted": True, "no_warnings": True, "every_row_accounted_for": True}
    equal(checks(result), good, "checks")
    equal([commit.name for commit in (project / "out/commits").iterdir()], ["00000001.json"], "commits")

    # The same again publishes nothing.
    result = materialize("2011-12-09")
    equal((result.success, checks(result)), (True, good), "an unchanged day")
    equal(len(list((project / "out/commits").iterdir())), 1, "commits after an unchanged day")

    # Late extracts: no failure, and no materialisation.
    survey = project / "examples/data/survey"
    survey.rename(folder / "survey")
    result = materialize("2011-12-08")
    equal(
        (result.success, len(result.asset_materializations_for_node("customer_segments"))), (True, 0), "late extracts"
    )
    (folder / "survey").rename(survey)

    # Refused data: the check fails, and the step is not tried again.
    contacts = next((project / "examples/data/crm").glob("*.csv"))
    text = contacts.read_text()
    contacts.write_text(re.sub(r",\d{4}-\d\d-\d\dT[\d:]+Z,", ",yesterday,", text, count=400))
    result = materialize("2011-12-08")
    equal((result.success, checks(result)), (False, {"accepted": False}), "refused data")
    equal(len(result.filter_events(lambda event: event.is_step_up_for_retry)), 0, "retries of refused data")
    contacts.write_text(text)

    # A store that does not answer: the step asks to be tried again.
    os.environ.update(
        EXTRACTS="s3://extracts/shop", AWS_ENDPOINT="http://127.0.0.1:9", AWS_ALLOW_HTTP="true", AWS_REGION="us-east-1"
    )
    os.environ.update(AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="nothing", SEGMILL_STORE_DEADLINE_SECONDS="1")
    result = materialize("2011-12-08")
    equal(result.success, False, "a store that does not answer")
    equal(len(result.filter_events(lambda event: event.is_step_up_for_retry)), 2, "retries of an outage")
    print("dagster: as wanted")


if __name__ == "__main__":
    main()
