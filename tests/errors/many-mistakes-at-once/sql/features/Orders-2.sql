-- Orders.
select 1
