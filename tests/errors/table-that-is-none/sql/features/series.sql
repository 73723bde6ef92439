-- The numbers to ten.
select value as number from generate_series(1, 10)
