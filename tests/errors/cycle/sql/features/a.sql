-- A.
select customer_id from features.b
