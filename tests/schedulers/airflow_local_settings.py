"""Airflow's own hook for operators of an installation: it makes the example DAG hurry, and leaves its file as it is."""

import os
from datetime import timedelta


def task_policy(task):
    task.retry_exponential_backoff = 0
    task.retry_delay = timedelta(seconds=1)
    task.retries = min(task.retries, 2)
    if task.task_id.endswith("plan"):
        task.poke_interval = 2
        task.timeout = 4
    if "SEGMILL_TEST_EXECUTION_TIMEOUT" in os.environ:
        task.execution_timeout = timedelta(seconds=int(os.environ["SEGMILL_TEST_EXECUTION_TIMEOUT"]))
