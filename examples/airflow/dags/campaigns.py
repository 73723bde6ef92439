"""A DAG of somebody else that starts when the customer segments have been published and loaded."""

from airflow.sdk import Asset, dag, task

SEGMENTS = Asset("customer_segments")


@dag(schedule=[SEGMENTS], tags=["segmill"])
def campaigns():
    @task(inlets=[SEGMENTS])
    def prepare(*, triggering_asset_events=None):
        """Which publication is new: here a campaign would be prepared from it."""
        return triggering_asset_events[SEGMENTS][-1].extra

    prepare()


campaigns()
