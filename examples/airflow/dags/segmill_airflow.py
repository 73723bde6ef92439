"""Airflow tasks that run Segmill. Its exit codes become the outcomes that Airflow knows.

Exit code        Outcome
0                success; the result goes to XCom
99               the extracts are late: the sensor looks again later, the operator skips
1, 2, 3          failed at once: a defect, a wrong project, refused data. Trying again does not help
4, 75, signals   failed, and tried again up to `retries` times
"""

import json
import os
import subprocess
import threading
from collections.abc import Sequence

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

EXTRACTS_ARE_LATE = 99
RETRYING_DOES_NOT_HELP = (1, 2, 3)

# What XCom gets of a result. All of it is 100 kB: the run record has it (`--record`).
SUMMARY = (
    "status",
    "pipeline",
    "as_of",
    "number",
    "run_id",
    "commit",
    "customers",
    "segments",
    "movement",
    "tables",
    "warnings",
)


class SegmillCommand:
    """Runs one `segmill` command as a child process without a shell."""

    _child: subprocess.Popen | None = None

    def segmill(self, *arguments: str, project: str, env: dict[str, str] | None = None) -> tuple[int, dict]:
        """The exit code and the JSON result; what the command tells people goes to the task's log."""
        command = ["segmill", *arguments, "--format", "json"]
        self.log.info("%s (in %s)", " ".join(command), project)
        with subprocess.Popen(
            command,
            cwd=project,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as self._child:
            try:
                result = self._read()
            except BaseException:
                # Such as a timeout: leaving the block waits for the command, so stop it first.
                self.on_kill()
                raise
        document = json.loads(result) if result.strip() else {}
        for problem in document.get("problems", []):
            self.log.error("%s", "; ".join([problem["message"], *problem.get("details", [])]))
        return self._child.returncode, document

    def _read(self) -> str:
        """The command's standard output, while its standard error goes to the log line by line."""

        def log_lines():
            for line in self._child.stderr:
                self.log.info("%s", line.rstrip())

        lines = threading.Thread(target=log_lines, daemon=True)
        lines.start()
        result = self._child.stdout.read()
        lines.join()
        return result

    def raise_for(self, exit_code: int, document: dict) -> None:
        """Raise the exception whose handling by Airflow is the right answer to the exit code."""
        if exit_code == 0:
            return
        problems = [problem["message"] for problem in document.get("problems", [])]
        reason = f"segmill ended with exit code {exit_code}: {'; '.join(problems[:3]) or 'see the log'}"
        if exit_code == EXTRACTS_ARE_LATE:
            raise AirflowSkipException(reason)
        if exit_code in RETRYING_DOES_NOT_HELP:
            raise AirflowFailException(reason)
        raise AirflowException(reason)

    def on_kill(self) -> None:
        """The task was stopped or has timed out: stop the command by SIGTERM. It then publishes nothing."""
        if self._child is not None and self._child.poll() is None:
            self.log.warning("stopping segmill, process %s", self._child.pid)
            self._child.terminate()


def summary(document: dict) -> dict:
    """The part of a result that other tasks read."""
    return {key: document[key] for key in SUMMARY if key in document}


class SegmillOperator(SegmillCommand, BaseOperator):
    """Runs `segmill COMMAND PIPELINE --as-of DAY`, such as `run` or `outputs`."""

    template_fields: Sequence[str] = ("pipeline", "as_of", "options", "project", "env")

    def __init__(
        self,
        *,
        command: str = "run",
        pipeline: str,
        as_of: str,
        project: str,
        options: Sequence[str] = (),
        env: dict[str, str] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.pipeline = pipeline
        self.as_of = as_of
        self.project = project
        self.options = options
        self.env = env

    def execute(self, context: Context) -> dict:
        exit_code, document = self.segmill(
            self.command, self.pipeline, "--as-of", self.as_of, *self.options, project=self.project, env=self.env
        )
        self.raise_for(exit_code, document)
        return summary(document)


class SegmillPlanSensor(SegmillCommand, BaseSensorOperator):
    """Waits for the extracts, then says what a run would change: `segmill plan`, again and again while it ends with 99.

    Missing extracts are found before any row is read, so looking again costs little. If they have not come within
    `timeout`, the day is skipped. `soft_fail` would not do: it also skips a day whose data was refused.

    After a plan that fails there is no run, so the plan tells what the run would: by the notifications of the pipeline
    file, and by metrics. That extracts are late it tells once, when it waits no longer.
    """

    template_fields: Sequence[str] = ("pipeline", "as_of", "options", "project", "env")

    def __init__(
        self,
        *,
        pipeline: str,
        as_of: str,
        project: str,
        options: Sequence[str] = (),
        env: dict[str, str] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.as_of = as_of
        self.project = project
        self.options = options
        self.env = env

    def execute(self, context: Context):
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            return self.look("--notify").xcom_value

    def poke(self, context: Context) -> PokeReturnValue:
        try:
            return self.look("--notify=unless-late")
        except AirflowSkipException:
            return PokeReturnValue(is_done=False)

    def look(self, notify: str) -> PokeReturnValue:
        exit_code, document = self.segmill(
            "plan", self.pipeline, "--as-of", self.as_of, notify, *self.options, project=self.project, env=self.env
        )
        self.raise_for(exit_code, document)
        return PokeReturnValue(is_done=True, xcom_value={**summary(document), **movement(document)})


def movement(plan: dict) -> dict:
    """How many customers would enter, leave or move in each segment set, and the largest of these as a share."""
    comparison = plan["comparison"]
    # Nothing is published yet: there is nothing to compare with.
    sets = comparison["segment_sets"] if comparison else []
    moves = {one["segment_set"]: one["entered"] + one["left"] + one["moved"] for one in sets}
    return {"movement": moves, "moved_share": max(moves.values(), default=0) / max(plan["customers"], 1)}


class MovementApprovalOperator(HITLOperator):
    """Asks a person if more customers would move than `limit`, as a share of all; otherwise lets the run go on.

    After a no it skips itself, and so everything after it. Airflow's `ApprovalOperator` succeeds after a no, and marks
    the tasks downstream as skipped: that does not hold back those of a mapped task group that are expanded later.
    """

    template_fields: Sequence[str] = (*HITLOperator.template_fields, "plan")

    APPROVE = "Approve"
    REJECT = "Reject"

    def __init__(self, *, plan, limit: float, **kwargs) -> None:
        super().__init__(options=[self.APPROVE, self.REJECT], **kwargs)
        self.plan = plan
        self.limit = limit

    def execute(self, context: Context):
        if self.plan["moved_share"] <= self.limit or context["params"]["approved"]:
            return None
        customers = f"of {self.plan['customers']:,} customers would enter, leave or move"
        self.body = "\n".join(f"- {name}: {moves:,} {customers}" for name, moves in self.plan["movement"].items())
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict):
        answer = super().execute_complete(context, event)
        if answer["chosen_options"] != [self.APPROVE]:
            raise AirflowSkipException("the movement was not approved")
        return answer
