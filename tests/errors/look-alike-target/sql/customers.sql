-- The customer profile: a customer a row.
select
    o.customer_id,
    o.orders,
    o.revenue,
    o.days_since_last_order,
    r.similarity as similarity_to_recent
from features.orders as o
left join similar.recent as r on r.customer_id = o.customer_id
left join similar.active as a on a.customer_id = o.customer_id
left join similar.regulars as e on e.customer_id = o.customer_id
left join similar.typed as t on t.customer_id = o.customer_id
left join similar.no_set as s on s.customer_id = o.customer_id
left join similar.no_segment as n on n.customer_id = o.customer_id
