-- What `python load_sql.py databricks 2011-12-10` prints for three tables of the sample.
-- It is run by: dbsqlcli -e databricks.sql

create table if not exists `segmill`.`identity_conflicts` (
    as_of date not null,
    `reason` string comment 'Why: `blank`, `blocked`, `expired`, `transferred`, `shared`, `pruned` or `split`',
    `identifier_type` string comment 'Type of the identifier',
    `identifier` string comment 'The identifier; hashed if it is personal, and empty for blanks',
    `other_type` string comment 'Type of the other identifier, if this is about an edge',
    `other` string comment 'The other identifier; hashed if it is personal',
    `source` string comment 'The source of the edge',
    `first_seen_at` timestamp comment 'When the edge was first seen',
    `last_seen_at` timestamp comment 'When the edge was last seen',
    `edges` bigint comment 'How many edges this is about',
    `customer_id` string comment 'The customer on the identifier\'s side',
    `other_customer_id` string comment 'The customer on the other side',
    `explanation` string comment 'The reason as a sentence'
) cluster by (as_of);

insert into `segmill`.`identity_conflicts` by name replace where as_of = date '2011-12-10'
select date '2011-12-10' as as_of, `reason`, `identifier_type`, `identifier`, `other_type`, `other`, `source`, `first_seen_at`, `last_seen_at`, `edges`, `customer_id`, `other_customer_id`, `explanation` from parquet.`s3://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/identity_conflicts.parquet`;

create table if not exists `segmill`.`segment_membership` (
    as_of date not null,
    `customer_id` string comment 'The customer',
    `segment_set` string comment 'The set',
    `segment` string comment 'The segment that the customer is in',
    `member_since` date comment 'The as-of day on which this uninterrupted stay began',
    `previous_segment` string comment 'The segment of the set in which the customer was before this stay; null if in none, and in overlapping sets',
    `times_entered` bigint comment 'How often the customer has entered the segment',
    `held_by` string comment 'Why: `rule`, or `stay` or `minimum_stay` if only stability keeps the customer'
) cluster by (as_of);

insert into `segmill`.`segment_membership` by name replace where as_of = date '2011-12-10'
select date '2011-12-10' as as_of, `customer_id`, `segment_set`, `segment`, `member_since`, `previous_segment`, `times_entered`, `held_by` from parquet.`s3://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/segment_membership.parquet`;

create table if not exists `segmill`.`segment_summary` (
    as_of date not null,
    `segment_set` string comment 'The set',
    `segment` string comment 'The segment',
    `set_kind` string comment '`exclusive`, `partition` or `overlapping`',
    `priority` bigint comment 'The segment\'s place in the set, from 1',
    `description` string comment 'What these customers are like',
    `action` string comment 'What to do with them',
    `channel` string comment 'The channel to use',
    `customers` bigint comment 'Customers in the segment',
    `share` decimal(9, 6) comment 'Their share of all customers, 0 to 1',
    `revenue` decimal(18, 3) comment 'Amount of their orders in the RFM window',
    `net_lifetime` decimal(18, 3) comment 'Their net amount ever',
    `average_order_value` decimal(18, 2) comment 'Amount of an average order',
    `mean_r_score` decimal(9, 2) comment 'Mean recency score of those who bought in the window',
    `mean_f_score` decimal(9, 2) comment 'Mean frequency score of those who bought in the window',
    `mean_m_score` decimal(9, 2) comment 'Mean monetary score of those who bought in the window',
    `mean_engagement` decimal(18, 2) comment 'Mean engagement score',
    `can_email` bigint comment 'How many may be reached by e-mail',
    `can_sms` bigint comment 'How many may be reached by SMS',
    `can_post` bigint comment 'How many may be reached by post',
    `traits` string comment 'The three strongest traits that the rules do not say; null if there are none'
) cluster by (as_of);

insert into `segmill`.`segment_summary` by name replace where as_of = date '2011-12-10'
select date '2011-12-10' as as_of, `segment_set`, `segment`, `set_kind`, `priority`, `description`, `action`, `channel`, `customers`, `share`, `revenue`, `net_lifetime`, `average_order_value`, `mean_r_score`, `mean_f_score`, `mean_m_score`, `mean_engagement`, `can_email`, `can_sms`, `can_post`, `traits` from parquet.`s3://shop-segments/segments/runs/2011-12-10-20111210T041500Z-0123456789abcdef/segment_summary.parquet`;
