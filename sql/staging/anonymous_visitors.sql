-- Why: who looks around a lot without saying who they are may be worth a segment, if a project wants that.
-- A row: one visitor with at least $anonymous_visitor_min_events events without a login. It counts from the event that
-- made them enough, so that a visitor is no customer before that. With 0 there is no row, and nothing is read.
with numbered as (
    select
        visitor_id,
        occurred_at,
        row_number() over (
            partition by visitor_id
            order by occurred_at
        ) as event_number
    from sources.web
    where $anonymous_visitor_min_events > 0
        -- A word for nobody ('undefined') is no login.
        and identifier(user_id, $null_values) is null
)

select
    visitor_id,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at
from numbered
where event_number >= $anonymous_visitor_min_events
group by visitor_id
