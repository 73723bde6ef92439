-- What `python load_sql.py bigquery 2011-12-10` prints for three tables of the sample.
-- It is run by: bq query --use_legacy_sql=false < bigquery.sql

create table if not exists `segmill`.`identity_conflicts` (
    as_of date not null,
    `reason` string options (description = 'Why: `blank`, `blocked`, `expired`, `transferred`, `shared`, `pruned` or `split`'),
    `identifier_type` string options (description = 'Type of the identifier'),
    `identifier` string options (description = 'The identifier; hashed if it is personal, and empty for blanks'),
    `other_type` string options (description = 'Type of the other identifier, if this is about an edge'),
    `other` string options (description = 'The other identifier; hashed if it is personal'),
    `source` string options (description = 'The source of the edge'),
    `first_seen_at` timestamp options (description = 'When the edge was first seen'),
    `last_seen_at` timestamp options (description = 'When the edge was last seen'),
    `edges` int64 options (description = 'How many edges this is about'),
    `customer_id` string options (description = 'The customer on the identifier\'s side'),
    `other_customer_id` string options (description = 'The customer on the other side'),
    `explanation` string options (description = 'The reason as a sentence')
) partition by as_of;

load data overwrite `segmill`.`identity_conflicts_staging` (
    `reason` string,
    `identifier_type` string,
    `identifier` string,
    `other_type` string,
    `other` string,
    `source` string,
    `first_seen_at` timestamp,
    `last_seen_at` timestamp,
    `edges` int64,
    `customer_id` string,
    `other_customer_id` string,
    `explanation` string
)
from files (format = 'PARQUET', enable_list_inference = true, uris = ['gs://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/identity_conflicts.parquet']);

create table if not exists `segmill`.`segment_membership` (
    as_of date not null,
    `customer_id` string options (description = 'The customer'),
    `segment_set` string options (description = 'The set'),
    `segment` string options (description = 'The segment that the customer is in'),
    `member_since` date options (description = 'The as-of day on which this uninterrupted stay began'),
    `previous_segment` string options (description = 'The segment of the set in which the customer was before this stay; null if in none, and in overlapping sets'),
    `times_entered` int64 options (description = 'How often the customer has entered the segment'),
    `held_by` string options (description = 'Why: `rule`, or `stay` or `minimum_stay` if only stability keeps the customer')
) partition by as_of;

load data overwrite `segmill`.`segment_membership_staging` (
    `customer_id` string,
    `segment_set` string,
    `segment` string,
    `member_since` date,
    `previous_segment` string,
    `times_entered` int64,
    `held_by` string
)
from files (format = 'PARQUET', enable_list_inference = true, uris = ['gs://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/segment_membership.parquet']);

create table if not exists `segmill`.`segment_summary` (
    as_of date not null,
    `segment_set` string options (description = 'The set'),
    `segment` string options (description = 'The segment'),
    `set_kind` string options (description = '`exclusive`, `partition` or `overlapping`'),
    `priority` int64 options (description = 'The segment\'s place in the set, from 1'),
    `description` string options (description = 'What these customers are like'),
    `action` string options (description = 'What to do with them'),
    `channel` string options (description = 'The channel to use'),
    `customers` int64 options (description = 'Customers in the segment'),
    `share` numeric(9, 6) options (description = 'Their share of all customers, 0 to 1'),
    `revenue` numeric(18, 3) options (description = 'Amount of their orders in the RFM window'),
    `net_lifetime` numeric(18, 3) options (description = 'Their net amount ever'),
    `average_order_value` numeric(18, 2) options (description = 'Amount of an average order'),
    `mean_r_score` numeric(9, 2) options (description = 'Mean recency score of those who bought in the window'),
    `mean_f_score` numeric(9, 2) options (description = 'Mean frequency score of those who bought in the window'),
    `mean_m_score` numeric(9, 2) options (description = 'Mean monetary score of those who bought in the window'),
    `mean_engagement` numeric(18, 2) options (description = 'Mean engagement score'),
    `can_email` int64 options (description = 'How many may be reached by e-mail'),
    `can_sms` int64 options (description = 'How many may be reached by SMS'),
    `can_post` int64 options (description = 'How many may be reached by post'),
    `traits` string options (description = 'The three strongest traits that the rules do not say; null if there are none')
) partition by as_of;

load data overwrite `segmill`.`segment_summary_staging` (
    `segment_set` string,
    `segment` string,
    `set_kind` string,
    `priority` int64,
    `description` string,
    `action` string,
    `channel` string,
    `customers` int64,
    `share` numeric(9, 6),
    `revenue` numeric(18, 3),
    `net_lifetime` numeric(18, 3),
    `average_order_value` numeric(18, 2),
    `mean_r_score` numeric(9, 2),
    `mean_f_score` numeric(9, 2),
    `mean_m_score` numeric(9, 2),
    `mean_engagement` numeric(18, 2),
    `can_email` int64,
    `can_sms` int64,
    `can_post` int64,
    `traits` string
)
from files (format = 'PARQUET', enable_list_inference = true, uris = ['gs://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/segment_summary.parquet']);

begin transaction;

delete from `segmill`.`identity_conflicts` where as_of = date '2011-12-10';
insert into `segmill`.`identity_conflicts` (as_of, `reason`, `identifier_type`, `identifier`, `other_type`, `other`, `source`, `first_seen_at`, `last_seen_at`, `edges`, `customer_id`, `other_customer_id`, `explanation`)
select date '2011-12-10', `reason`, `identifier_type`, `identifier`, `other_type`, `other`, `source`, `first_seen_at`, `last_seen_at`, `edges`, `customer_id`, `other_customer_id`, `explanation` from `segmill`.`identity_conflicts_staging`;

delete from `segmill`.`segment_membership` where as_of = date '2011-12-10';
insert into `segmill`.`segment_membership` (as_of, `customer_id`, `segment_set`, `segment`, `member_since`, `previous_segment`, `times_entered`, `held_by`)
select date '2011-12-10', `customer_id`, `segment_set`, `segment`, `member_since`, `previous_segment`, `times_entered`, `held_by` from `segmill`.`segment_membership_staging`;

delete from `segmill`.`segment_summary` where as_of = date '2011-12-10';
insert into `segmill`.`segment_summary` (as_of, `segment_set`, `segment`, `set_kind`, `priority`, `description`, `action`, `channel`, `customers`, `share`, `revenue`, `net_lifetime`, `average_order_value`, `mean_r_score`, `mean_f_score`, `mean_m_score`, `mean_engagement`, `can_email`, `can_sms`, `can_post`, `traits`)
select date '2011-12-10', `segment_set`, `segment`, `set_kind`, `priority`, `description`, `action`, `channel`, `customers`, `share`, `revenue`, `net_lifetime`, `average_order_value`, `mean_r_score`, `mean_f_score`, `mean_m_score`, `mean_engagement`, `can_email`, `can_sms`, `can_post`, `traits` from `segmill`.`segment_summary_staging`;

commit transaction;

drop table `segmill`.`identity_conflicts_staging`;

drop table `segmill`.`segment_membership_staging`;

drop table `segmill`.`segment_summary_staging`;
