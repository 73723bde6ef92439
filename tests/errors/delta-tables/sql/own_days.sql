-- A customer with the day.
select
    customer_id,
    last_order_date as as_of
from customers
