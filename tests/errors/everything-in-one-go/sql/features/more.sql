-- More.
select customer_id, count(*) as orders from staging.order group by customer_id
