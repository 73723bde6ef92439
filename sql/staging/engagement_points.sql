-- Why: what one event is worth as of today: weight x 2^(-age / half-life).
-- A row: one kind of event on one day of the window. Points are millionths, rounded once here, so that sums of them are
-- exact in any order. A kind without a weight has no row: it is no engagement.
with days as (
    select
        unnest(
            -- Casts, because generate_series must know the types before the parameters are bound.
            generate_series(
                cast($as_of as date) - cast($engagement_window_days as bigint),
                cast($as_of as date) - 1,
                interval '1 day'
            )
        ) as event_date
),

ages as (
    select
        event_date,
        $as_of - event_date as age_days
    from days
)

select
    weights.channel,
    weights.event_type,
    ages.event_date,
    cast(
        round(
            1000000
            * cast(weights.weight as double)
            * power(cast(2 as double), -cast(ages.age_days as double) / weights.half_life_days)
        ) as bigint
    ) as points
from reference.engagement_weights as weights
cross join ages
where weights.weight <> 0
