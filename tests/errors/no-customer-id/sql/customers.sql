-- The profile.
select customer_id as id, country_code as country, orders, revenue, last_order_date, days_since_last_order from features.orders
