-- Orders that nobody else may touch.
select order_id into kept from staging.orders for update
