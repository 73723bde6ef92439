-- Orders.
select f.customer_id from features.orders as f
