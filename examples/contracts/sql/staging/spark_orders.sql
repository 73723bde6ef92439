-- Why: the rows as the contract reads them.
-- Orders that Spark wrote in folders by day and region, which stand in the paths alone.
-- A row: an order.
select
    order_id,
    customer_id,
    ordered_at,
    amount,
    day,
    region
from sources.spark_orders
