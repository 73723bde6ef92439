-- The history of segments as intervals: who was in which segment from which as-of day (valid_from) to which (valid_to, the day on which the
-- customer was in it no more; null while the customer is in it). A customer was in a segment as of a day if
-- valid_from <= day and (valid_to is null or day < valid_to).
--
-- It reads two tables with the folders' day as the column as_of: segment_changes of all days, and segment_membership of the newest day at
-- least. It runs as it is in DuckDB, PostgreSQL, ClickHouse and Spark.
create view segment_history as
with events as (
    -- 0: somebody leaves a segment.
    select
        customer_id,
        segment_set,
        from_segment as segment,
        as_of as happened_on,
        0 as turn,
        from_since as since
    from segment_changes
    where from_segment is not null

    union all

    -- 1: somebody enters one. Where an id has ended with a merge, the id that stayed enters.
    select
        coalesce(merged_into, customer_id) as customer_id,
        segment_set,
        to_segment as segment,
        as_of as happened_on,
        1 as turn,
        as_of as since
    from segment_changes
    where adds_member

    union all

    -- 2: somebody is in one on the newest day.
    select
        customer_id,
        segment_set,
        segment,
        as_of as happened_on,
        2 as turn,
        member_since as since
    from segment_membership
    where
        as_of = (
            select max(days.as_of)
            from (select as_of from segment_membership union all select as_of from segment_changes) as days
        )
),

entries as (
    select
        customer_id,
        segment_set,
        segment,
        happened_on,
        turn,
        since,
        max(case when turn = 1 then happened_on end) over (
            partition by customer_id, segment_set, segment
            order by happened_on, turn
            rows between unbounded preceding and 1 preceding
        ) as entered_on
    from events
)

select
    customer_id,
    segment_set,
    segment,
    -- A stay that was begun by an id that ended since is the customer's own from the day of the merge on.
    case when entered_on > since then entered_on else since end as valid_from,
    case when turn = 0 then happened_on end as valid_to
from entries
where turn <> 1
