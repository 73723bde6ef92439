-- A customer a row: what the orders say.
from staging.orders
