-- Visits.
select customer_id, count(*) as visits from staging.visits group by customer_id
