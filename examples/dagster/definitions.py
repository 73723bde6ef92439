"""The customer segments as a Dagster asset: a partition a day, what a run found as metadata, and checks."""

import json
import os
import subprocess

import dagster as dg

# The project folder, and its pipeline, which gives the asset its name.
PROJECT = os.environ.get("SEGMILL_PROJECT", "/srv/shop")
PIPELINE = "customer_segments"

# Days begin in the zone of the project. These are the last days of the sample's extracts: a project of your own needs
# no end date.
DAYS = dg.DailyPartitionsDefinition(start_date="2011-12-03", end_date="2011-12-10", timezone="UTC")

CHECKS = [
    dg.AssetCheckSpec(
        "accepted", asset=PIPELINE, description="Contracts and checks accept the extracts and the outputs"
    ),
    dg.AssetCheckSpec("no_warnings", asset=PIPELINE, description="No check of severity `warn` objects"),
    dg.AssetCheckSpec(
        "every_row_accounted_for", asset=PIPELINE, description="Read = kept + rejected + left out, in each source"
    ),
]

EXTRACTS_ARE_LATE = 99
DATA_WAS_REFUSED = 3
RETRYING_DOES_NOT_HELP = (1, 2, DATA_WAS_REFUSED)


@dg.multi_asset(
    # A day whose extracts are late materialises nothing. Only with `can_subset` may its checks be left out, too.
    specs=[dg.AssetSpec(PIPELINE, skippable=True)],
    can_subset=True,
    partitions_def=DAYS,
    check_specs=CHECKS,
    # Each publication is built on the one of the day before: give this pool a limit of 1, so that days do not overlap.
    pool="segmill",
    retry_policy=dg.RetryPolicy(max_retries=5, delay=600, backoff=dg.Backoff.EXPONENTIAL),
)
def customer_segments(context: dg.AssetExecutionContext):
    # A partition holds what is known when its day is over. `--as-of DAY` counts what happened before the first moment
    # of DAY, so it names the day on which the partition ends.
    as_of = context.partition_time_window.end.strftime("%Y-%m-%d")
    exit_code, result = segmill("run", f"pipelines/{PIPELINE}.yaml", "--as-of", as_of)
    if exit_code == EXTRACTS_ARE_LATE:
        # Nothing is materialised: what depends on this partition is skipped, and it can be asked for again.
        context.log.warning("The extracts are late. Nothing is published as of %s.", as_of)
        return
    if exit_code == DATA_WAS_REFUSED:
        yield dg.AssetCheckResult(check_name="accepted", passed=False, metadata={"problems": result["problems"]})
    if exit_code != 0:
        problems = [problem["message"] for problem in result.get("problems", [])]
        raise dg.Failure(
            description=f"segmill ended with exit code {exit_code}: {'; '.join(problems)}",
            metadata={"exit_code": exit_code, "problems": result.get("problems", [])},
            allow_retries=exit_code not in RETRYING_DOES_NOT_HELP,
        )
    yield dg.MaterializeResult(
        metadata={
            "status": result["status"],
            "as_of": as_of,
            "number": result["number"],
            "commit": dg.MetadataValue.path(result["commit"]),
            # A run that finds the day published and unchanged reads nothing, and so has no more to say.
            **({"dagster/row_count": result["customers"]} if "customers" in result else {}),
            **(
                {"segments": table(result["segments"]), "sources": table(sources(result))}
                if "segments" in result
                else {}
            ),
        },
    )
    warned = [check for check in result.get("checks", []) if check["outcome"] == "failed"]
    unaccounted = [source["source"] for source in sources(result) if source["unaccounted"] != 0]
    yield dg.AssetCheckResult(check_name="accepted", passed=True, metadata={"checks": len(result.get("checks", []))})
    yield dg.AssetCheckResult(
        check_name="no_warnings",
        passed=not warned,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={check["check"]: check["found"] for check in warned},
    )
    yield dg.AssetCheckResult(
        check_name="every_row_accounted_for", passed=not unaccounted, metadata={"sources": unaccounted}
    )


def segmill(*arguments: str) -> tuple[int, dict]:
    """The exit code and the JSON result of a command. Its progress goes to the step's standard error, which is kept."""
    command = ["segmill", *arguments, "--format", "json"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as child:
        try:
            text, _ = child.communicate()
        except BaseException:
            # The step is being ended: stop the command by SIGTERM, so that it publishes nothing.
            child.terminate()
            raise
    return child.returncode, json.loads(text) if text.strip() else {}


def sources(result: dict) -> list[dict]:
    """What became of the rows of each source."""
    rows = []
    for source in result.get("sources", []):
        counts = {
            kind: source[f"rows_{kind}"]
            for kind in ("read", "kept", "rejected", "deduplicated", "deleted", "out_of_window")
        }
        rows.append({"source": source["source"], **counts, "unaccounted": 2 * counts["read"] - sum(counts.values())})
    return rows


def table(rows: list[dict]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])


refresh = dg.define_asset_job("refresh", selection=[PIPELINE], partitions_def=DAYS)

definitions = dg.Definitions(
    assets=[customer_segments],
    jobs=[refresh],
    schedules=[dg.build_schedule_from_partitioned_job(refresh, hour_of_day=4, minute_of_hour=15)],
)
