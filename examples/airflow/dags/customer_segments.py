"""Refresh the customer segments every night: wait for extracts, plan, ask if too much moves, run, load."""

import os
from datetime import datetime, timedelta

from airflow.sdk import Asset, AssetAlias, CronDataIntervalTimetable, Param, dag, task, task_group
from segmill_airflow import MovementApprovalOperator, SegmillOperator, SegmillPlanSensor

# The project folder, and its pipelines: each is one mapped task group, with retries and approval of its own.
PROJECT = os.environ.get("SEGMILL_PROJECT", "/srv/shop")
PIPELINES = ["pipelines/customer_segments.yaml"]
WAREHOUSE = os.environ.get("SEGMILL_WAREHOUSE", "/srv/shop/warehouse.duckdb")

# The zone of the project (`time_zone` in the pipeline file), whose midnight is the as-of moment.
TIME_ZONE = "UTC"

# The day on which the data interval ENDS, not the one on which it starts. `--as-of DAY` counts what happened before the
# first moment of DAY. The run of 04:15 on 10 December covers the interval from 9 to 10 December, and with
# `--as-of 2011-12-10` all of 9 December counts and nothing later. A run that was started by hand may have neither
# logical date nor interval: it takes the parameter, or else the day on which it was due, which retries do not change.
AS_OF = (
    "{{ params.as_of or (data_interval_end | default(dag_run.run_after, true)).in_timezone('"
    + TIME_ZONE
    + "').to_date_string() }}"
)

# Above this share of all customers that would enter, leave or move in one segment set, a person decides.
MOVEMENT_LIMIT = 0.10


@dag(
    schedule=CronDataIntervalTimetable("15 4 * * *", timezone=TIME_ZONE),
    # These are the last two days of the sample's extracts. For a project of your own, start with the first night that
    # you want, because the scheduler catches up from there on, and leave out the end.
    start_date=datetime(2011, 12, 8),
    end_date=datetime(2011, 12, 10),
    # Days that were missed are published, oldest first; `airflow backfill create` does the same for days before. Each
    # publication is built on the one of the day before, so one at a time.
    catchup=True,
    max_active_runs=1,
    default_args={
        "retries": 5,
        "retry_delay": timedelta(minutes=10),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(hours=1),
        "execution_timeout": timedelta(hours=2),
    },
    params={
        "as_of": Param(None, type=["null", "string"], format="date", description="The as-of day of a run by hand"),
        "approved": Param(False, type="boolean", description="Publish however many customers move"),
    },
    tags=["segmill"],
)
def customer_segments():
    # Each pipeline that was loaded gives an event to the asset named after it. Downstream DAGs wait for that asset.
    published = AssetAlias("published_segments")

    @task(outlets=[published], max_active_tis_per_dag=1)
    def load(publication: dict, *, outlet_events=None):
        """Load the publication's tables into DuckDB: the rows of its day are replaced, in one transaction."""
        import duckdb

        schema, as_of = publication["pipeline"], publication["as_of"]
        with duckdb.connect(WAREHOUSE) as warehouse:
            warehouse.begin()
            warehouse.execute(f'create schema if not exists "{schema}"')
            for table in publication["tables"]:
                name = f'"{schema}"."{table["table"]}"'
                files = {"files": [file["url"] for file in table["files"]]}
                rows = f"select date '{as_of}' as as_of, * from read_parquet($files)"
                warehouse.execute(f"create table if not exists {name} as {rows} limit 0", files)
                warehouse.execute(f"delete from {name} where as_of = date '{as_of}'")
                warehouse.execute(f"insert into {name} by name {rows}", files)
            warehouse.commit()
        outlet_events[published].add(Asset(schema), extra={"as_of": as_of, "number": publication["number"]})

    @task_group
    def refresh(pipeline: str):
        segmill = {
            "pipeline": pipeline,
            "as_of": AS_OF,
            "project": PROJECT,
            "map_index_template": "{{ task.pipeline }}",
        }
        plan = SegmillPlanSensor(
            task_id="plan",
            mode="reschedule",
            poke_interval=timedelta(minutes=10),
            timeout=timedelta(hours=6),
            **segmill,
        )
        approve = MovementApprovalOperator(
            task_id="approve",
            plan=plan.output,
            limit=MOVEMENT_LIMIT,
            subject="More customers would change segments than usual",
            response_timeout=timedelta(hours=12),
            execution_timeout=None,
            retries=0,
        )
        run = SegmillOperator(task_id="run", options=["--timeout", "110m"], **segmill)
        outputs = SegmillOperator(task_id="outputs", command="outputs", **segmill)
        plan >> approve >> run >> outputs
        load(outputs.output)

    refresh.expand(pipeline=PIPELINES)


customer_segments()
