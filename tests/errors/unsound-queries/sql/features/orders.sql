-- A customer a row: what the orders say.
with paid as (
    select customer_id, country, amount, order_date
    from staging.orders
    where country not in ('ES', null)
),

known as (
    select *
    from paid
    where amount > 0
),

later as (
    select customer_id, lead(order_date, 2) ignore nulls over (partition by customer_id order by order_date) as next_but_one
    from known
),

few as (
    select customer_id
    from known
    order by customer_id
    limit 10 offset 5
),

others as (
    select customer_id from known
    except
    select customer_id from few
),

all_of_them as (
    select customer_id, later.next_but_one
    from others
    full join later using (customer_id)
),

rising as (
    select l.customer_id
    from few as f
    left join later as l on l.customer_id = f.customer_id and l.customer_id not in (select customer_id from others)
)

select
    k.customer_id,
    max(k.country) as country_code,
    count(*) as orders,
    sum(k.amount) as revenue,
    max(k.order_date) as last_order_date,
    $as_of - max(k.order_date) as days_since_last_order
from known as k
where exists (select count(*) from all_of_them as a where a.customer_id = k.customer_id)
    and k.customer_id in (select customer_id from rising)
    and k.order_date in (
        select max(l.next_but_one) over () from later as l where l.customer_id = k.customer_id
    )
    and not exists (
        select 1
        from few as f
        left join others as o on o.customer_id = f.customer_id and o.customer_id = k.customer_id
        where o.customer_id is null
    )
    and not (k.country in ('ES', 'FR') and k.country in ('DE', 'IT'))
group by k.customer_id
