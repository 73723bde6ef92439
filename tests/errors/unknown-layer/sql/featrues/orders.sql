-- Orders.
select customer_id from staging.orders
