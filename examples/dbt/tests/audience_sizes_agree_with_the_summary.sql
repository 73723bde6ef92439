-- The rows of segments whose size is not the one that was published in the summary.
select summary.as_of, summary.segment_set, summary.segment, summary.customers, sizes.members
from {{ source('customer_segments', 'segment_summary') }} as summary
left join {{ ref('audience_sizes') }} as sizes
    on sizes.as_of = summary.as_of and sizes.segment_set = summary.segment_set and sizes.segment = summary.segment
where coalesce(sizes.members, 0) <> summary.customers
