-- Why: a fifth of the buyers each, by the share of buyers who are at or below them.
-- A row: one customer with an order in the window.
select
    customer_id,
    cast(ceil(5 * cume_dist() over (order by recency_days desc)) as bigint) as r_score,
    cast(ceil(5 * cume_dist() over (order by orders)) as bigint) as f_score,
    cast(ceil(5 * cume_dist() over (order by revenue)) as bigint) as m_score
from features.orders
