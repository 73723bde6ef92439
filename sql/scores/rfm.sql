-- Why: recency, frequency and monetary, each scored 1 to 5, 5 best, among the buyers of the window.
-- A row: one customer with at least one order or refund; without an order in the window all scores are 0.
-- Scores count the quintile cut-points a value exceeds, so equal values always get equal scores.
with cut_points as (
    select
        percentile_cont(0.2) within group (order by cast(recency_days as double)) as recency_20,
        percentile_cont(0.4) within group (order by cast(recency_days as double)) as recency_40,
        percentile_cont(0.6) within group (order by cast(recency_days as double)) as recency_60,
        percentile_cont(0.8) within group (order by cast(recency_days as double)) as recency_80,
        percentile_cont(0.2) within group (order by cast(frequency as double)) as frequency_20,
        percentile_cont(0.4) within group (order by cast(frequency as double)) as frequency_40,
        percentile_cont(0.6) within group (order by cast(frequency as double)) as frequency_60,
        percentile_cont(0.8) within group (order by cast(frequency as double)) as frequency_80,
        percentile_cont(0.2) within group (order by cast(monetary as double)) as monetary_20,
        percentile_cont(0.4) within group (order by cast(monetary as double)) as monetary_40,
        percentile_cont(0.6) within group (order by cast(monetary as double)) as monetary_60,
        percentile_cont(0.8) within group (order by cast(monetary as double)) as monetary_80
    from features.orders
    where frequency > 0
)

select
    orders.customer_id,
    orders.recency_days,
    orders.frequency,
    orders.monetary,
    case
        when orders.frequency = 0 then 0
        else 5
            - cast(orders.recency_days > cut_points.recency_20 as bigint)
            - cast(orders.recency_days > cut_points.recency_40 as bigint)
            - cast(orders.recency_days > cut_points.recency_60 as bigint)
            - cast(orders.recency_days > cut_points.recency_80 as bigint)
    end as r_score,
    case
        when orders.frequency = 0 then 0
        else 1
            + cast(orders.frequency > cut_points.frequency_20 as bigint)
            + cast(orders.frequency > cut_points.frequency_40 as bigint)
            + cast(orders.frequency > cut_points.frequency_60 as bigint)
            + cast(orders.frequency > cut_points.frequency_80 as bigint)
    end as f_score,
    case
        when orders.frequency = 0 then 0
        else 1
            + cast(cast(orders.monetary as double) > cut_points.monetary_20 as bigint)
            + cast(cast(orders.monetary as double) > cut_points.monetary_40 as bigint)
            + cast(cast(orders.monetary as double) > cut_points.monetary_60 as bigint)
            + cast(cast(orders.monetary as double) > cut_points.monetary_80 as bigint)
    end as m_score
from features.orders as orders
cross join cut_points
