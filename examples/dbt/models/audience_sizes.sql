-- How large each segment is on each published day, and how many of its members may be reached by e-mail.
select
    membership.as_of,
    membership.segment_set,
    membership.segment,
    count(*) as members,
    count(*) filter (where customers.can_email) as members_by_email
from {{ source('customer_segments', 'segment_membership') }} as membership
inner join {{ source('customer_segments', 'customers') }} as customers
    on customers.as_of = membership.as_of and customers.customer_id = membership.customer_id
group by all
