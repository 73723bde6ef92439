-- Orders.
select
    customer_id,
    count(* as orders
from staging.orders
