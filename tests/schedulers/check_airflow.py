"""Runs the DAG of examples/airflow in a real Airflow, on a good day and on bad ones, and looks at the states of its tasks.

    python check_airflow.py FOLDER [SCENARIO …]

runs in the environment that run.sh makes, with `airflow` and `segmill` on PATH. FOLDER is emptied.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
DAGS = HERE.parent.parent / "examples" / "airflow" / "dags"
TASKS = ["refresh.plan", "refresh.approve", "refresh.run", "refresh.outputs", "refresh.load"]
TABLES = 12


class Place:
    """A copy of the sample project, and an Airflow of its own."""

    def __init__(self, folder: Path, base: Path, name: str, **env: str):
        self.folder = folder / name
        self.folder.mkdir()
        self.home = self.folder / "airflow"
        shutil.copytree(base, self.home)
        self.project = self.folder / "shop"
        self.warehouse = self.folder / "warehouse.duckdb"
        subprocess.run(["segmill", "init", self.project], check=True, capture_output=True)
        self.env = {
            **airflow_env(self.home),
            "SEGMILL_PROJECT": str(self.project),
            "SEGMILL_WAREHOUSE": str(self.warehouse),
            **env,
        }

    def segmill(self, *arguments: str):
        subprocess.run(["segmill", *arguments], cwd=self.project, check=True, capture_output=True)

    def watch(self):
        """Lets the project tell how its runs end."""
        pipeline = self.project / "pipelines/customer_segments.yaml"
        team = "{on: [failed, refused, late], command: [sh, -c, 'cat >> told.json; echo >> told.json']}"
        pipeline.write_text(f"{pipeline.read_text()}\nnotify:\n  team: {team}\n")
        self.env["SEGMILL_METRICS"] = str(self.folder / "segmill.prom")

    def told(self) -> list[str]:
        """What notifications told, and the exit code in the metrics."""
        told = [json.loads(line)["status"] for line in (self.project / "told.json").read_text().splitlines()]
        metrics = (self.folder / "segmill.prom").read_text()
        return told + re.findall(r"^segmill_run_exit_code\{.*\} (\d+)$", metrics, re.MULTILINE)

    def test_dag(self, day: str, *more: str) -> str:
        """Run the DAG by `airflow dags test` for the data interval that ends on the day. Its log."""
        command = ["airflow", "dags", "test", "customer_segments", f"{day}T04:15:00+00:00", *more]
        ended = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=600)
        (self.folder / "log.txt").write_text(ended.stdout + ended.stderr)
        return ended.stdout + ended.stderr

    def rows(self, query: str) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db", timeout=60)) as database:
            return database.execute(query).fetchall()

    def states(self) -> dict[str, str]:
        return dict(self.rows("select task_id, state from task_instance where dag_id = 'customer_segments'"))

    def tries(self, task: str) -> int:
        return self.rows(f"select try_number from task_instance where task_id = '{task}'")[0][0]

    def xcom(self, task: str) -> dict:
        value = self.rows(f"select value from xcom where task_id = '{task}' and key = 'return_value'")[0][0]
        value = json.loads(value)
        return json.loads(value) if isinstance(value, str) else value

    def published(self) -> list[str]:
        """The days that are published, in order of their commits."""
        commits = sorted((self.project / "out" / "commits").glob("*.json"))
        return [json.loads(commit.read_text())["as_of"] for commit in commits]


def airflow_env(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def equal(found, wanted, what: str):
    if found != wanted:
        raise SystemExit(f"{what}: found {found}, wanted {wanted}")


def all_states(state: str, but: dict[str, str] | None = None) -> dict[str, str]:
    return {task: state for task in TASKS} | (but or {})


def good_day(place: Place):
    """Publishes and loads the day on which the data interval ends, tells the asset, and does no harm a second time."""
    place.test_dag("2011-12-09")
    equal(place.states(), all_states("success"), "states")
    equal(place.published(), ["2011-12-09"], "published days")
    result = place.xcom("refresh.run")
    equal((result["status"], result["as_of"], result["number"]), ("published", "2011-12-09", 1), "the result in XCom")
    equal(place.xcom("refresh.plan")["moved_share"], 0, "movement where nothing was published before")
    with duckdb.connect(str(place.warehouse)) as warehouse:
        tables = warehouse.sql(
            "select table_name from information_schema.tables where table_schema = 'customer_segments'"
        ).fetchall()
        equal(len(tables), TABLES, "loaded tables")
        query = (
            "select as_of::text, count(*), count(distinct customer_id) from customer_segments.customers group by all"
        )
        equal(
            warehouse.sql(query).fetchall(),
            [("2011-12-09", result["customers"], result["customers"])],
            "loaded customers",
        )
    event = "select asset.name, asset_event.extra from asset_event join asset on asset.id = asset_event.asset_id"
    equal(
        [(name, json.loads(extra)) for name, extra in place.rows(event)],
        [("customer_segments", {"as_of": "2011-12-09", "number": 1})],
        "events of assets",
    )

    # Again: nothing is published, and no row is loaded twice.
    place.test_dag("2011-12-09")
    equal(place.published(), ["2011-12-09"], "published days after a second run")
    equal(place.rows("select distinct state from task_instance"), [("success",)], "states of both runs")
    with duckdb.connect(str(place.warehouse)) as warehouse:
        equal(
            warehouse.sql("select count(*) from customer_segments.customers").fetchall(),
            [(result["customers"],)],
            "customers after a second run",
        )


def late_extracts(place: Place):
    """Skips a day whose extracts have not come in time, after having looked more than once, and tells it once."""
    place.watch()
    place.segmill("run", "--as-of", "2011-12-08")
    for file in (place.project / "examples/data/survey").iterdir():
        file.unlink()
    log = place.test_dag("2011-12-09")
    equal(place.states(), all_states("skipped"), "states")
    if log.count("segmill plan") < 2:
        raise SystemExit("the sensor did not look again")
    equal(place.told(), ["late", "99"], "what was told")
    equal(place.published(), ["2011-12-08"], "published days")


def bad_data(place: Place):
    """Fails at once, without a retry, when the data is refused, and tells it."""
    place.watch()
    contacts = next((place.project / "examples/data/crm").glob("*.csv"))
    contacts.write_text(re.sub(r",\d{4}-\d\d-\d\dT[\d:]+Z,", ",yesterday,", contacts.read_text(), count=400))
    log = place.test_dag("2011-12-09")
    equal(place.states(), all_states("upstream_failed", {"refresh.plan": "failed"}), "states")
    equal(place.tries("refresh.plan"), 1, "tries")
    if "exit code 3: the extracts break their contracts" not in log:
        raise SystemExit("the log does not say why the data was refused")
    equal(place.told(), ["refused", "3"], "what was told")
    equal(place.published(), [], "published days")


def wrong_project(place: Place):
    """Fails at once when the project is wrong."""
    model = place.project / "sql/customers.sql"
    model.write_text(model.read_text() + "\nnonsense")
    place.test_dag("2011-12-09")
    equal(place.states(), all_states("upstream_failed", {"refresh.plan": "failed"}), "states")
    equal(place.tries("refresh.plan"), 1, "tries")


def storage_outage(place: Place):
    """Tries again as often as it may while the store of the extracts does not answer, then fails."""
    log = place.test_dag("2011-12-09")
    equal(place.states(), all_states("upstream_failed", {"refresh.plan": "failed"}), "states")
    equal(place.tries("refresh.plan"), 3, "tries")
    equal(
        re.findall(r"new_state=(up_for_retry|failed)", log),
        ["up_for_retry", "up_for_retry", "failed"],
        "states after each try",
    )


def time_is_up(place: Place):
    """Stops the command by SIGTERM when the task takes longer than it may."""
    log = place.test_dag("2011-12-09")
    equal(place.states()["refresh.plan"], "failed", "state")
    children = re.findall(r"stopping segmill, process (\d+)", log)
    equal(len(children), 3, "commands stopped")
    for child in children:
        if Path("/proc", child).exists():
            raise SystemExit(f"segmill still runs as process {child}")


def approved_by_parameter(place: Place):
    """Publishes a day on which many move, if whoever starts the run says so."""
    place.segmill("run", "--as-of", "2011-09-01")
    place.test_dag("2011-12-09", "--conf", json.dumps({"approved": True}))
    if place.xcom("refresh.plan")["moved_share"] < 0.1:
        raise SystemExit("too few customers move for this test")
    equal(place.states(), all_states("success"), "states")
    equal(place.published(), ["2011-09-01", "2011-12-09"], "published days")


def two_pipelines(place: Place):
    """Each pipeline is on its own: one whose data is refused does not keep another from being published and loaded."""
    pipeline = place.project / "pipelines/customer_segments.yaml"
    other = (
        pipeline.read_text()
        .replace("name: customer_segments", "name: other_segments", 1)
        .replace("${DESTINATION:-out}", "other", 1)
    )
    other = other.replace("reject_budget: {share: 0.01}", "reject_budget: {rows: 0}")
    (place.project / "pipelines/other_segments.yaml").write_text(other)
    dags = place.folder / "dags"
    shutil.copytree(DAGS, dags)
    dag = dags / "customer_segments.py"
    one = 'PIPELINES = ["pipelines/customer_segments.yaml"]'
    dag.write_text(dag.read_text().replace(one, one.replace("]", ', "pipelines/other_segments.yaml"]')))
    place.env["AIRFLOW__CORE__DAGS_FOLDER"] = str(dags)
    place.test_dag("2011-12-09")
    states = {
        (task, index): state for task, index, state in place.rows("select task_id, map_index, state from task_instance")
    }
    wanted = (
        {(task, 0): "success" for task in TASKS}
        | {(task, 1): "upstream_failed" for task in TASKS}
        | {("refresh.plan", 1): "failed"}
    )
    equal(states, wanted, "states")
    names = place.rows("select rendered_map_index from task_instance where task_id = 'refresh.plan' order by map_index")
    equal(
        names, [("pipelines/customer_segments.yaml",), ("pipelines/other_segments.yaml",)], "names of the mapped tasks"
    )
    equal(place.published(), ["2011-12-09"], "published days")


class Server:
    """The parts of a running Airflow: scheduler, DAG processor and API server."""

    def __init__(self, place: Place):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.place = place
        self.env = {
            **place.env,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test alone, long enough for its algorithm",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        }

    def __enter__(self):
        parts = [["api-server", "--host", "127.0.0.1", "--port", str(self.port)], ["dag-processor"], ["scheduler"]]
        self.running = []
        for part in parts:
            log = open(self.place.folder / f"{part[0]}.txt", "w")
            self.running.append(subprocess.Popen(["airflow", *part], env=self.env, stdout=log, stderr=log))
        self.token = self.wait("the API server", lambda: self.request("GET", "/auth/token")["access_token"])
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    def request(self, method: str, path: str, body: dict | None = None) -> dict:
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "token"):
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.msg = f"{error.msg}: {error.read(500)}"
            raise

    def wait(self, what: str, look, seconds: int = 300):
        """What `look` returns as soon as it is something."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for process in self.running:
                if process.poll() is not None:
                    raise SystemExit(f"{process.args[1]} has ended; see its log in {self.place.folder}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if found := look():
                    return found
            time.sleep(1)
        raise SystemExit(f"{what}: waited for {seconds} s; see the logs in {self.place.folder}")


def scheduled(place: Place):
    """Under a scheduler: missed days are caught up in order, a backfill runs, a person approves, the asset starts a DAG."""
    with Server(place) as airflow:
        dag = "/api/v2/dags/customer_segments"

        def runs(**wanted) -> list[dict]:
            found = airflow.request("GET", f"{dag}/dagRuns?limit=100")["dag_runs"]
            return [run for run in found if all(run[key] == value for key, value in wanted.items())]

        airflow.wait("the DAG", lambda: airflow.request("GET", dag))
        airflow.wait("the other DAG", lambda: airflow.request("GET", "/api/v2/dags/campaigns"))
        for name in ("campaigns", "customer_segments"):
            airflow.request("PATCH", f"/api/v2/dags/{name}", {"is_paused": False})
        airflow.wait("the days that were missed", lambda: len(runs(state="success")) == 2)
        equal(place.published(), ["2011-12-09", "2011-12-10"], "published days")

        downstream = "/api/v2/dags/campaigns/dagRuns"
        airflow.wait(
            "the DAG that waits for the asset",
            lambda: [
                run
                for run in airflow.request("GET", downstream)["dag_runs"]
                if run["run_type"] == "asset_triggered" and run["state"] == "success"
            ],
        )

        create = [
            "airflow",
            "backfill",
            "create",
            "--dag-id",
            "customer_segments",
            "--from-date",
            "2011-12-06",
            "--to-date",
            "2011-12-07",
        ]
        subprocess.run(create, env=airflow.env, check=True, capture_output=True)
        airflow.wait("the backfill", lambda: runs(run_type="backfill", state="success"))
        equal(place.published()[2:], ["2011-12-07"], "published days of the backfill")

        # Runs by hand, without a logical date. By then so many customers have lapsed that a person is asked.
        def ask(answer: str) -> dict[str, str]:
            trigger = {"logical_date": None, "conf": {"as_of": "2012-03-01"}}
            run = airflow.request("POST", f"{dag}/dagRuns", trigger)["dag_run_id"]
            questions = f"{dag}/dagRuns/{run}/hitlDetails"
            [question] = airflow.wait("the question", lambda: airflow.request("GET", questions)["hitl_details"])
            if not re.search(
                r"^- value: \d{3} of 5,\d{3} customers would enter, leave or move$", question["body"], re.M
            ):
                raise SystemExit(f"the question does not say how many customers move: {question['body']}")
            equal(len(place.published()), 3, "publications while nobody has answered")
            # A scheduler under load may hear that the task has asked after it hears of an answer given at once, and then
            # takes the task to be lost. People are slower.
            log, asked = place.folder / "scheduler.txt", f"task_id='refresh.approve', run_id='{run}'"
            airflow.wait(
                "the scheduler to hear of the question",
                lambda: f"TaskInstanceKey(dag_id='customer_segments', {asked}" in log.read_text(),
            )
            approve = f"{dag}/dagRuns/{run}/taskInstances/refresh.approve/0/hitlDetails"
            airflow.request("PATCH", approve, {"chosen_options": [answer]})
            airflow.wait("the run that was asked about", lambda: runs(dag_run_id=run, state="success"))
            tasks = airflow.request("GET", f"{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            return {task["task_id"]: task["state"] for task in tasks}

        states = ask("Reject")
        equal(
            states,
            all_states("skipped", {"refresh.plan": "success"}),
            "states after a no",
        )
        equal(len(place.published()), 3, "publications after a no")
        equal(ask("Approve"), all_states("success"), "states after a yes")
        equal(place.published()[3:], ["2012-03-01"], "published days of the run by hand")


@contextlib.contextmanager
def closed_port():
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextlib.contextmanager
def silent_port():
    """An address at which something listens that never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        yield silent.getsockname()[1]


def store_at(port: int, **more: str) -> dict[str, str]:
    return {
        "EXTRACTS": "s3://extracts/shop",
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        **more,
    }


def main():
    folder = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = folder / "base"
    base.mkdir()
    subprocess.run(["airflow", "db", "migrate"], env=airflow_env(base), check=True, capture_output=True)
    # It names its own folder; each copy makes one of its own.
    (base / "airflow.cfg").unlink()
    (base / "config").mkdir()
    shutil.copy(HERE / "airflow_local_settings.py", base / "config")
    with closed_port() as closed, silent_port() as silent:
        scenarios = {
            good_day: {},
            late_extracts: {},
            bad_data: {},
            wrong_project: {},
            storage_outage: store_at(closed, SEGMILL_STORE_DEADLINE_SECONDS="2"),
            time_is_up: store_at(silent, SEGMILL_TEST_EXECUTION_TIMEOUT="5"),
            approved_by_parameter: {},
            two_pipelines: {},
            scheduled: {},
        }
        for scenario, env in scenarios.items():
            if wanted and scenario.__name__ not in wanted:
                continue
            begun = time.monotonic()
            try:
                scenario(Place(folder, base, scenario.__name__, **env))
            except SystemExit as wrong:
                raise SystemExit(f"airflow {scenario.__name__}: {wrong} ({folder / scenario.__name__})") from None
            print(f"airflow {scenario.__name__}: as wanted ({time.monotonic() - begun:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
