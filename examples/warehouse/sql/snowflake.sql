-- What `python load_sql.py snowflake 2011-12-10` prints for three tables of the sample.
-- It is run by: snow sql --filename snowflake.sql

create table if not exists "SEGMILL"."IDENTITY_CONFLICTS" (
    as_of date not null,
    "REASON" varchar comment 'Why: `blank`, `blocked`, `expired`, `transferred`, `shared`, `pruned` or `split`',
    "IDENTIFIER_TYPE" varchar comment 'Type of the identifier',
    "IDENTIFIER" varchar comment 'The identifier; hashed if it is personal, and empty for blanks',
    "OTHER_TYPE" varchar comment 'Type of the other identifier, if this is about an edge',
    "OTHER" varchar comment 'The other identifier; hashed if it is personal',
    "SOURCE" varchar comment 'The source of the edge',
    "FIRST_SEEN_AT" timestamp_ltz comment 'When the edge was first seen',
    "LAST_SEEN_AT" timestamp_ltz comment 'When the edge was last seen',
    "EDGES" number(19, 0) comment 'How many edges this is about',
    "CUSTOMER_ID" varchar comment 'The customer on the identifier''s side',
    "OTHER_CUSTOMER_ID" varchar comment 'The customer on the other side',
    "EXPLANATION" varchar comment 'The reason as a sentence'
) cluster by (as_of);

create or replace temporary table "SEGMILL"."IDENTITY_CONFLICTS_STAGING" (
    "REASON" varchar,
    "IDENTIFIER_TYPE" varchar,
    "IDENTIFIER" varchar,
    "OTHER_TYPE" varchar,
    "OTHER" varchar,
    "SOURCE" varchar,
    "FIRST_SEEN_AT" timestamp_ltz,
    "LAST_SEEN_AT" timestamp_ltz,
    "EDGES" number(19, 0),
    "CUSTOMER_ID" varchar,
    "OTHER_CUSTOMER_ID" varchar,
    "EXPLANATION" varchar
);

copy into "SEGMILL"."IDENTITY_CONFLICTS_STAGING" from @segmill_stage
    files = ('runs/2011-12-10-20111210T041500Z-0123456789abcdef/identity_conflicts.parquet')
    file_format = (type = parquet use_logical_type = true)
    match_by_column_name = case_insensitive
    on_error = abort_statement;

create table if not exists "SEGMILL"."SEGMENT_MEMBERSHIP" (
    as_of date not null,
    "CUSTOMER_ID" varchar comment 'The customer',
    "SEGMENT_SET" varchar comment 'The set',
    "SEGMENT" varchar comment 'The segment that the customer is in',
    "MEMBER_SINCE" date comment 'The as-of day on which this uninterrupted stay began',
    "PREVIOUS_SEGMENT" varchar comment 'The segment of the set in which the customer was before this stay; null if in none, and in overlapping sets',
    "TIMES_ENTERED" number(19, 0) comment 'How often the customer has entered the segment',
    "HELD_BY" varchar comment 'Why: `rule`, or `stay` or `minimum_stay` if only stability keeps the customer'
) cluster by (as_of);

create or replace temporary table "SEGMILL"."SEGMENT_MEMBERSHIP_STAGING" (
    "CUSTOMER_ID" varchar,
    "SEGMENT_SET" varchar,
    "SEGMENT" varchar,
    "MEMBER_SINCE" date,
    "PREVIOUS_SEGMENT" varchar,
    "TIMES_ENTERED" number(19, 0),
    "HELD_BY" varchar
);

copy into "SEGMILL"."SEGMENT_MEMBERSHIP_STAGING" from @segmill_stage
    files = ('runs/2011-12-10-20111210T041500Z-0123456789abcdef/segment_membership.parquet')
    file_format = (type = parquet use_logical_type = true)
    match_by_column_name = case_insensitive
    on_error = abort_statement;

create table if not exists "SEGMILL"."SEGMENT_SUMMARY" (
    as_of date not null,
    "SEGMENT_SET" varchar comment 'The set',
    "SEGMENT" varchar comment 'The segment',
    "SET_KIND" varchar comment '`exclusive`, `partition` or `overlapping`',
    "PRIORITY" number(19, 0) comment 'The segment''s place in the set, from 1',
    "DESCRIPTION" varchar comment 'What these customers are like',
    "ACTION" varchar comment 'What to do with them',
    "CHANNEL" varchar comment 'The channel to use',
    "CUSTOMERS" number(19, 0) comment 'Customers in the segment',
    "SHARE" number(9, 6) comment 'Their share of all customers, 0 to 1',
    "REVENUE" number(18, 3) comment 'Amount of their orders in the RFM window',
    "NET_LIFETIME" number(18, 3) comment 'Their net amount ever',
    "AVERAGE_ORDER_VALUE" number(18, 2) comment 'Amount of an average order',
    "MEAN_R_SCORE" number(9, 2) comment 'Mean recency score of those who bought in the window',
    "MEAN_F_SCORE" number(9, 2) comment 'Mean frequency score of those who bought in the window',
    "MEAN_M_SCORE" number(9, 2) comment 'Mean monetary score of those who bought in the window',
    "MEAN_ENGAGEMENT" number(18, 2) comment 'Mean engagement score',
    "CAN_EMAIL" number(19, 0) comment 'How many may be reached by e-mail',
    "CAN_SMS" number(19, 0) comment 'How many may be reached by SMS',
    "CAN_POST" number(19, 0) comment 'How many may be reached by post',
    "TRAITS" varchar comment 'The three strongest traits that the rules do not say; null if there are none'
) cluster by (as_of);

create or replace temporary table "SEGMILL"."SEGMENT_SUMMARY_STAGING" (
    "SEGMENT_SET" varchar,
    "SEGMENT" varchar,
    "SET_KIND" varchar,
    "PRIORITY" number(19, 0),
    "DESCRIPTION" varchar,
    "ACTION" varchar,
    "CHANNEL" varchar,
    "CUSTOMERS" number(19, 0),
    "SHARE" number(9, 6),
    "REVENUE" number(18, 3),
    "NET_LIFETIME" number(18, 3),
    "AVERAGE_ORDER_VALUE" number(18, 2),
    "MEAN_R_SCORE" number(9, 2),
    "MEAN_F_SCORE" number(9, 2),
    "MEAN_M_SCORE" number(9, 2),
    "MEAN_ENGAGEMENT" number(18, 2),
    "CAN_EMAIL" number(19, 0),
    "CAN_SMS" number(19, 0),
    "CAN_POST" number(19, 0),
    "TRAITS" varchar
);

copy into "SEGMILL"."SEGMENT_SUMMARY_STAGING" from @segmill_stage
    files = ('runs/2011-12-10-20111210T041500Z-0123456789abcdef/segment_summary.parquet')
    file_format = (type = parquet use_logical_type = true)
    match_by_column_name = case_insensitive
    on_error = abort_statement;

begin;

delete from "SEGMILL"."IDENTITY_CONFLICTS" where as_of = date '2011-12-10';
insert into "SEGMILL"."IDENTITY_CONFLICTS" (as_of, "REASON", "IDENTIFIER_TYPE", "IDENTIFIER", "OTHER_TYPE", "OTHER", "SOURCE", "FIRST_SEEN_AT", "LAST_SEEN_AT", "EDGES", "CUSTOMER_ID", "OTHER_CUSTOMER_ID", "EXPLANATION")
select date '2011-12-10', "REASON", "IDENTIFIER_TYPE", "IDENTIFIER", "OTHER_TYPE", "OTHER", "SOURCE", "FIRST_SEEN_AT", "LAST_SEEN_AT", "EDGES", "CUSTOMER_ID", "OTHER_CUSTOMER_ID", "EXPLANATION" from "SEGMILL"."IDENTITY_CONFLICTS_STAGING";

delete from "SEGMILL"."SEGMENT_MEMBERSHIP" where as_of = date '2011-12-10';
insert into "SEGMILL"."SEGMENT_MEMBERSHIP" (as_of, "CUSTOMER_ID", "SEGMENT_SET", "SEGMENT", "MEMBER_SINCE", "PREVIOUS_SEGMENT", "TIMES_ENTERED", "HELD_BY")
select date '2011-12-10', "CUSTOMER_ID", "SEGMENT_SET", "SEGMENT", "MEMBER_SINCE", "PREVIOUS_SEGMENT", "TIMES_ENTERED", "HELD_BY" from "SEGMILL"."SEGMENT_MEMBERSHIP_STAGING";

delete from "SEGMILL"."SEGMENT_SUMMARY" where as_of = date '2011-12-10';
insert into "SEGMILL"."SEGMENT_SUMMARY" (as_of, "SEGMENT_SET", "SEGMENT", "SET_KIND", "PRIORITY", "DESCRIPTION", "ACTION", "CHANNEL", "CUSTOMERS", "SHARE", "REVENUE", "NET_LIFETIME", "AVERAGE_ORDER_VALUE", "MEAN_R_SCORE", "MEAN_F_SCORE", "MEAN_M_SCORE", "MEAN_ENGAGEMENT", "CAN_EMAIL", "CAN_SMS", "CAN_POST", "TRAITS")
select date '2011-12-10', "SEGMENT_SET", "SEGMENT", "SET_KIND", "PRIORITY", "DESCRIPTION", "ACTION", "CHANNEL", "CUSTOMERS", "SHARE", "REVENUE", "NET_LIFETIME", "AVERAGE_ORDER_VALUE", "MEAN_R_SCORE", "MEAN_F_SCORE", "MEAN_M_SCORE", "MEAN_ENGAGEMENT", "CAN_EMAIL", "CAN_SMS", "CAN_POST", "TRAITS" from "SEGMILL"."SEGMENT_SUMMARY_STAGING";

commit;
