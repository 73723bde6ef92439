-- The value.
select c.code as customer_id, lenght(c.name) as revenue from reference.countries as c
