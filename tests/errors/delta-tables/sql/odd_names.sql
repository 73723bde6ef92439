-- A customer with a name that has spaces.
select
    customer_id,
    days_since_last_order as "days since"
from customers
