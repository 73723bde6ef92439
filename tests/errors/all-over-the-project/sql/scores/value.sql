-- The value.
select customer_id, revenu from features.value
