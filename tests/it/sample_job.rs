use crate::support::{default_sample, package, rows_of_parquet, sample};

/// Computed from the published data set with other tools: `pandas` and `DuckDB` agree on them.
#[test]
fn reference_numbers_of_the_real_orders_hold() {
    let publication = sample();
    assert_eq!(publication.ledger("orders"), [541_909, 541_909, 0, 0, 0]);
    let totals = publication.ask(
        "select sum(frequency), count(*) filter (where frequency > 0), cast(sum(monetary) as decimal(18, 2)),
                count(*) filter (where frequency = 1), count(*) filter (where frequency = 1 and f_score = 1)
         from customers",
    );
    assert_eq!(totals, [["18532", "4338", "8911407.90", "1493", "1493"]]);
    let net = publication.ask("select cast(sum(net_lifetime) as decimal(18, 2)) from customers where has_orders or refunded > 0");
    assert_eq!(net, [["8300065.81"]]);
}

/// The lines that count, asked of the extract itself: what is published is their sum, to the penny.
#[test]
fn gross_sales_are_the_lines_that_count() {
    let orders = [package().join("examples/data/orders/online_retail.parquet")];
    let amount = r#"cast("Quantity" as bigint) * cast("UnitPrice" as decimal(18, 3))"#;
    let counted = r#""Quantity" > 0 and "UnitPrice" > 0 and "InvoiceNo" not like 'C%' and "CustomerID" is not null"#;
    let gross = rows_of_parquet(&orders, &format!("select count(*), cast(sum({amount}) as decimal(18, 2)) from t where {counted}"));
    assert_eq!(gross, [["397884", "8911407.90"]]);
    let net = rows_of_parquet(
        &orders,
        &format!(r#"select count(distinct "CustomerID"), cast(sum({amount}) as decimal(18, 2)) from t where "CustomerID" is not null"#),
    );
    assert_eq!(net, [["4372", "8300065.81"]]);
    let published =
        sample().ask("select cast(sum(gross_lifetime) as decimal(18, 2)), cast(sum(net_lifetime) as decimal(18, 2)) from customers");
    assert_eq!(published, [["8911407.90", "8300065.81"]]);
}

#[test]
fn equal_values_get_equal_scores() {
    let publication = sample();
    for (value, score) in [("recency_days", "r_score"), ("frequency", "f_score"), ("monetary", "m_score")] {
        let split = publication
            .ask(&format!("select {value} from customers where frequency > 0 group by {value} having count(distinct {score}) > 1"));
        assert!(split.is_empty(), "{value} has several {score}: {split:?}");
    }
}

#[test]
fn every_customer_is_once_in_each_exclusive_set_and_no_member_is_an_orphan() {
    let publication = sample();
    let customers = publication.ask("select count(*), count(distinct customer_id) from customers");
    assert_eq!(customers[0][0], customers[0][1]);
    for set in ["value", "lifecycle"] {
        let members =
            publication.ask(&format!("select count(*), count(distinct customer_id) from segment_membership where segment_set = '{set}'"));
        assert_eq!(members, customers, "{set}");
    }
    let orphans =
        publication.ask("select m.customer_id from segment_membership m left anti join customers c on m.customer_id = c.customer_id");
    assert!(orphans.is_empty());
}

#[test]
fn every_shipped_segment_has_members_and_its_summary() {
    let publication = default_sample();
    let segments = publication.result["segments"].as_array().unwrap();
    let empty: Vec<_> = segments.iter().filter(|segment| segment["customers"] == 0).collect();
    assert!(empty.is_empty(), "{empty:?}");
    let summary = publication.ask("select segment_set, segment, cast(customers as bigint) from segment_summary");
    assert_eq!(summary.len(), segments.len());
    for row in summary {
        let told = segments.iter().find(|s| s["segment_set"] == row[0].as_str() && s["segment"] == row[1].as_str()).unwrap();
        assert_eq!(told["customers"].to_string(), row[2]);
    }
}

/// The generator says how many broken rows and values it makes; each must be found, and nothing else.
#[test]
fn the_broken_rows_and_values_of_the_sample_are_told_with_their_reasons() {
    let publication = sample();
    let told = publication.ask(
        "select source, scope, \"column\", reason, count(*) from rejected group by source, scope, \"column\", reason order by source, scope, \"column\", reason",
    );
    let known = [
        ["contacts", "row", "updated_at", "not-a-timestamp", "3"],
        ["contacts", "value", "birth_date", "not-a-date", "5"],
        ["contacts", "value", "household_size", "not-an-integer", "4"],
        ["email", "row", "occurred_at", "not-a-timestamp", "1"],
        ["email", "value", "event_id", "not-an-integer", "4"],
        ["survey", "row", "responded_at", "missing-value", "2"],
        ["survey", "row", "", "too-many-fields", "2"],
    ];
    assert_eq!(told, known);
    for (source, broken) in [("contacts", 3), ("email", 1), ("survey", 4), ("web", 0)] {
        assert_eq!(publication.ledger(source)[2], broken, "{source}");
    }
    let places = publication.ask("select count(*) from rejected where row_number > 1 and raw <> ''");
    assert_eq!(places, [["21"]]);
}

#[test]
fn every_row_of_every_source_is_accounted_for() {
    let publication = sample();
    for ledger in publication.result["sources"].as_array().unwrap() {
        let [read, kept, rejected, deduplicated, out] = publication.ledger(ledger["source"].as_str().unwrap());
        assert!(read > 0);
        assert_eq!(read, kept + rejected + deduplicated + out, "{ledger}");
    }
}

/// Customers without consent are in no audience of that channel.
#[test]
fn audiences_hold_only_customers_that_may_be_reached() {
    let publication = sample();
    let wrong = publication.ask(
        "select m.segment, m.customer_id
         from segment_membership m
         join segment_summary s on s.segment_set = m.segment_set and s.segment = m.segment
         join customers c on c.customer_id = m.customer_id
         where m.segment_set = 'audiences'
           and (s.channel = 'email' and not c.can_email or s.channel = 'sms' and not c.can_sms or s.channel = 'post' and not c.can_post)",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A model that several others read is computed once, and every other model that is no view once too.
#[test]
fn every_model_is_computed_once() {
    let steps = sample().result["steps"].as_array().unwrap();
    let mut names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"identity.customers") && names.contains(&"staging.orders"), "{names:?}");
    // Each native step makes what the next publication builds on.
    names.retain(|name| *name != "make state");
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a step stands twice");
}
