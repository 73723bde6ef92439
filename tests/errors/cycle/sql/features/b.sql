-- B.
select customer_id from features.a
