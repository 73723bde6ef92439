-- The profile.
select customer_id, (orders + 1
