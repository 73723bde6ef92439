use crate::support::{SAMPLE_AS_OF, package, sample, segmill};

/// What `explain` says of an identifier, and all that it printed.
fn explain(identifier: &str) -> (serde_json::Value, String) {
    let output = segmill(package(), &["explain", "--identity", identifier, "--as-of", SAMPLE_AS_OF, "--format", "json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_str(&told).unwrap(), told)
}

#[test]
fn a_device_that_four_customers_share_leads_to_nobody() {
    let shared = sample().ask("select reason, ties, explanation from identity_conflicts where identifier = 'v00bba76a34cf'");
    assert_eq!(shared, [["shared", "4", "shared by 4 customers, and 1 may"]]);
}

#[test]
fn who_logged_in_late_is_known_since_the_first_visit_and_who_logged_in_after_the_day_is_not() {
    let (known, told) = explain("v0003c5ce69e6");
    assert_eq!((&known["found"][0]["customer_id"], &known["as_of"]), (&"15416".into(), &SAMPLE_AS_OF.into()), "{told}");
    // Personal values are masked unless asked for.
    assert!(told.contains("\"email\"") && !told.contains("\"identifier\":\"+44"), "{told}");
    let visits = sample().ask("select web_events >= 20, first_seen_date < date '2011-10-27' from customers where customer_id = '15416'");
    assert_eq!(visits, [["true", "true"]]);
    // This visitor logs in on 12 December.
    assert_eq!(explain("v0f162c7bad91").0["found"], serde_json::json!([]));
}

#[test]
fn junk_addresses_lead_to_nobody_and_are_told_without_the_address() {
    let blocked = sample().ask(
        "select count(*) > 0, bool_and(identifier like 'email:%'), bool_and(ties > 1) from identity_conflicts where reason = 'blocked'",
    );
    assert_eq!(blocked, [["true", "true", "true"]]);
}

#[test]
fn a_second_contact_with_the_same_address_is_the_same_customer() {
    let merged = sample().ask("select customer_id, has_orders from customers where customer_id in ('17451', '20026')");
    assert_eq!(merged, [["17451", "true"]]);
    let aliases = sample().ask(
        "select count(*) > 0, count(c.customer_id), count(other.customer_id) = count(*)
         from identity_aliases a
         left join customers c on c.customer_id = a.alias_id
         left join customers other on other.customer_id = a.customer_id",
    );
    assert_eq!(aliases, [["true", "0", "true"]], "an alias is nobody's id and leads to a customer");
}

#[test]
fn a_suppressed_customer_stays_a_customer_and_is_in_no_audience_that_sends() {
    let suppressed =
        sample().ask("select no_email_reason, no_sms_reason, no_post_reason, has_orders from customers where customer_id = '12592'");
    assert_eq!(suppressed, [["suppressed", "suppressed", "suppressed", "true"]]);
    let audiences = sample().ask(
        "select count(*) from segment_membership m join segment_summary s on s.segment_set = m.segment_set and s.segment = m.segment
         where m.customer_id = '12592' and m.segment_set = 'audiences' and s.channel <> 'none'",
    );
    assert_eq!(audiences, [["0"]]);
    let withheld: u64 = sample().result["segments"].as_array().unwrap().iter().map(|size| size["withheld"].as_u64().unwrap()).sum();
    assert!(withheld > 0, "nobody was withheld from an audience");
}
