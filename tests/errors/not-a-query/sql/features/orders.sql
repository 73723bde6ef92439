-- Orders.
delete from staging.orders
