-- What `python load_sql.py redshift 2011-12-10` prints for three tables of the sample.
-- It is run by: psql -v ON_ERROR_STOP=1 -f redshift.sql

create table if not exists "segmill"."identity_conflicts" (
    as_of date not null,
    "reason" varchar(65535),
    "identifier_type" varchar(65535),
    "identifier" varchar(65535),
    "other_type" varchar(65535),
    "other" varchar(65535),
    "source" varchar(65535),
    "first_seen_at" timestamp,
    "last_seen_at" timestamp,
    "edges" bigint,
    "customer_id" varchar(65535),
    "other_customer_id" varchar(65535),
    "explanation" varchar(65535)
) sortkey (as_of);

comment on column "segmill"."identity_conflicts"."reason" is 'Why: `blank`, `blocked`, `expired`, `transferred`, `shared`, `pruned` or `split`';

comment on column "segmill"."identity_conflicts"."identifier_type" is 'Type of the identifier';

comment on column "segmill"."identity_conflicts"."identifier" is 'The identifier; hashed if it is personal, and empty for blanks';

comment on column "segmill"."identity_conflicts"."other_type" is 'Type of the other identifier, if this is about an edge';

comment on column "segmill"."identity_conflicts"."other" is 'The other identifier; hashed if it is personal';

comment on column "segmill"."identity_conflicts"."source" is 'The source of the edge';

comment on column "segmill"."identity_conflicts"."first_seen_at" is 'When the edge was first seen';

comment on column "segmill"."identity_conflicts"."last_seen_at" is 'When the edge was last seen';

comment on column "segmill"."identity_conflicts"."edges" is 'How many edges this is about';

comment on column "segmill"."identity_conflicts"."customer_id" is 'The customer on the identifier''s side';

comment on column "segmill"."identity_conflicts"."other_customer_id" is 'The customer on the other side';

comment on column "segmill"."identity_conflicts"."explanation" is 'The reason as a sentence';

drop table if exists "segmill"."identity_conflicts_staging";

create table "segmill"."identity_conflicts_staging" (
    "reason" varchar(65535),
    "identifier_type" varchar(65535),
    "identifier" varchar(65535),
    "other_type" varchar(65535),
    "other" varchar(65535),
    "source" varchar(65535),
    "first_seen_at" timestamp,
    "last_seen_at" timestamp,
    "edges" bigint,
    "customer_id" varchar(65535),
    "other_customer_id" varchar(65535),
    "explanation" varchar(65535)
);

copy "segmill"."identity_conflicts_staging" from 's3://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/load/identity_conflicts.manifest'
iam_role 'arn:aws:iam::123456789012:role/warehouse' format as parquet manifest;

create table if not exists "segmill"."segment_membership" (
    as_of date not null,
    "customer_id" varchar(65535),
    "segment_set" varchar(65535),
    "segment" varchar(65535),
    "member_since" date,
    "previous_segment" varchar(65535),
    "times_entered" bigint,
    "held_by" varchar(65535)
) sortkey (as_of);

comment on column "segmill"."segment_membership"."customer_id" is 'The customer';

comment on column "segmill"."segment_membership"."segment_set" is 'The set';

comment on column "segmill"."segment_membership"."segment" is 'The segment that the customer is in';

comment on column "segmill"."segment_membership"."member_since" is 'The as-of day on which this uninterrupted stay began';

comment on column "segmill"."segment_membership"."previous_segment" is 'The segment of the set in which the customer was before this stay; null if in none, and in overlapping sets';

comment on column "segmill"."segment_membership"."times_entered" is 'How often the customer has entered the segment';

comment on column "segmill"."segment_membership"."held_by" is 'Why: `rule`, or `stay` or `minimum_stay` if only stability keeps the customer';

drop table if exists "segmill"."segment_membership_staging";

create table "segmill"."segment_membership_staging" (
    "customer_id" varchar(65535),
    "segment_set" varchar(65535),
    "segment" varchar(65535),
    "member_since" date,
    "previous_segment" varchar(65535),
    "times_entered" bigint,
    "held_by" varchar(65535)
);

copy "segmill"."segment_membership_staging" from 's3://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/load/segment_membership.manifest'
iam_role 'arn:aws:iam::123456789012:role/warehouse' format as parquet manifest;

create table if not exists "segmill"."segment_summary" (
    as_of date not null,
    "segment_set" varchar(65535),
    "segment" varchar(65535),
    "set_kind" varchar(65535),
    "priority" bigint,
    "description" varchar(65535),
    "action" varchar(65535),
    "channel" varchar(65535),
    "customers" bigint,
    "share" decimal(9, 6),
    "revenue" decimal(18, 3),
    "net_lifetime" decimal(18, 3),
    "average_order_value" decimal(18, 2),
    "mean_r_score" decimal(9, 2),
    "mean_f_score" decimal(9, 2),
    "mean_m_score" decimal(9, 2),
    "mean_engagement" decimal(18, 2),
    "can_email" bigint,
    "can_sms" bigint,
    "can_post" bigint,
    "traits" varchar(65535)
) sortkey (as_of);

comment on column "segmill"."segment_summary"."segment_set" is 'The set';

comment on column "segmill"."segment_summary"."segment" is 'The segment';

comment on column "segmill"."segment_summary"."set_kind" is '`exclusive`, `partition` or `overlapping`';

comment on column "segmill"."segment_summary"."priority" is 'The segment''s place in the set, from 1';

comment on column "segmill"."segment_summary"."description" is 'What these customers are like';

comment on column "segmill"."segment_summary"."action" is 'What to do with them';

comment on column "segmill"."segment_summary"."channel" is 'The channel to use';

comment on column "segmill"."segment_summary"."customers" is 'Customers in the segment';

comment on column "segmill"."segment_summary"."share" is 'Their share of all customers, 0 to 1';

comment on column "segmill"."segment_summary"."revenue" is 'Amount of their orders in the RFM window';

comment on column "segmill"."segment_summary"."net_lifetime" is 'Their net amount ever';

comment on column "segmill"."segment_summary"."average_order_value" is 'Amount of an average order';

comment on column "segmill"."segment_summary"."mean_r_score" is 'Mean recency score of those who bought in the window';

comment on column "segmill"."segment_summary"."mean_f_score" is 'Mean frequency score of those who bought in the window';

comment on column "segmill"."segment_summary"."mean_m_score" is 'Mean monetary score of those who bought in the window';

comment on column "segmill"."segment_summary"."mean_engagement" is 'Mean engagement score';

comment on column "segmill"."segment_summary"."can_email" is 'How many may be reached by e-mail';

comment on column "segmill"."segment_summary"."can_sms" is 'How many may be reached by SMS';

comment on column "segmill"."segment_summary"."can_post" is 'How many may be reached by post';

comment on column "segmill"."segment_summary"."traits" is 'The three strongest traits that the rules do not say; null if there are none';

drop table if exists "segmill"."segment_summary_staging";

create table "segmill"."segment_summary_staging" (
    "segment_set" varchar(65535),
    "segment" varchar(65535),
    "set_kind" varchar(65535),
    "priority" bigint,
    "description" varchar(65535),
    "action" varchar(65535),
    "channel" varchar(65535),
    "customers" bigint,
    "share" decimal(9, 6),
    "revenue" decimal(18, 3),
    "net_lifetime" decimal(18, 3),
    "average_order_value" decimal(18, 2),
    "mean_r_score" decimal(9, 2),
    "mean_f_score" decimal(9, 2),
    "mean_m_score" decimal(9, 2),
    "mean_engagement" decimal(18, 2),
    "can_email" bigint,
    "can_sms" bigint,
    "can_post" bigint,
    "traits" varchar(65535)
);

copy "segmill"."segment_summary_staging" from 's3://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/load/segment_summary.manifest'
iam_role 'arn:aws:iam::123456789012:role/warehouse' format as parquet manifest;

begin;

delete from "segmill"."identity_conflicts" where as_of = date '2011-12-10';
insert into "segmill"."identity_conflicts" (as_of, "reason", "identifier_type", "identifier", "other_type", "other", "source", "first_seen_at", "last_seen_at", "edges", "customer_id", "other_customer_id", "explanation")
select date '2011-12-10', "reason", "identifier_type", "identifier", "other_type", "other", "source", "first_seen_at", "last_seen_at", "edges", "customer_id", "other_customer_id", "explanation" from "segmill"."identity_conflicts_staging";

delete from "segmill"."segment_membership" where as_of = date '2011-12-10';
insert into "segmill"."segment_membership" (as_of, "customer_id", "segment_set", "segment", "member_since", "previous_segment", "times_entered", "held_by")
select date '2011-12-10', "customer_id", "segment_set", "segment", "member_since", "previous_segment", "times_entered", "held_by" from "segmill"."segment_membership_staging";

delete from "segmill"."segment_summary" where as_of = date '2011-12-10';
insert into "segmill"."segment_summary" (as_of, "segment_set", "segment", "set_kind", "priority", "description", "action", "channel", "customers", "share", "revenue", "net_lifetime", "average_order_value", "mean_r_score", "mean_f_score", "mean_m_score", "mean_engagement", "can_email", "can_sms", "can_post", "traits")
select date '2011-12-10', "segment_set", "segment", "set_kind", "priority", "description", "action", "channel", "customers", "share", "revenue", "net_lifetime", "average_order_value", "mean_r_score", "mean_f_score", "mean_m_score", "mean_engagement", "can_email", "can_sms", "can_post", "traits" from "segmill"."segment_summary_staging";

commit;

drop table "segmill"."identity_conflicts_staging";

drop table "segmill"."segment_membership_staging";

drop table "segmill"."segment_summary_staging";
