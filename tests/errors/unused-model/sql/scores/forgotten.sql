-- What nobody asks for.
select customer_id
from features.orders
