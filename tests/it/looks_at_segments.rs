use crate::looks::{People, text};
use crate::tiny::Tiny;

/// Memberships and changes are looked at as a run would make them: after the publication of the nearest earlier day. Customers who are not in
/// a sample have not left.
#[test]
fn segments_are_remembered_by_looks_too() {
    let people = People::new();
    people.told(&["run", "--as-of", "2011-05-05"]);
    let columns = "customer_id, segment, member_since, times_entered";
    let remembered = people.csv(&["query", &format!("select {columns} from segment_membership order by customer_id")]);
    let changes = people.csv(&["show", "segment_changes"]);
    people.told(&["run", "--as-of", "2011-06-10"]);
    let published = format!("select {columns} from published.segment_membership where as_of = $as_of order by customer_id");
    assert_eq!(people.csv(&["query", &published]), remembered);
    let days = |day: &str| remembered.iter().filter(|row| row.contains(day)).count();
    assert_eq!((days(",2011-05-05,1"), days(",2011-06-10,1")), (19, 20), "{remembered:?}");
    // c02 has become one with c01, and half of the others are new.
    assert_eq!((changes.len(), changes.iter().filter(|row| row.contains(",merged,some,some,")).count()), (21, 1), "{changes:?}");
    for share in ["30%", "70%"] {
        let customers = people.csv(&["query", "select customer_id from customers", "--sample", share]);
        let whose = |row: &String| {
            let cells: Vec<&str> = row.split(',').collect();
            if cells[7].is_empty() { cells[0].to_owned() } else { cells[7].to_owned() }
        };
        let expected: Vec<String> = changes.iter().filter(|row| customers.contains(&whose(row))).cloned().collect();
        assert_eq!(people.csv(&["show", "segment_changes", "--sample", share]), expected, "{share}");
        assert!(!expected.is_empty() && expected.len() < changes.len());
    }
}

/// Where ids of customers are personal, so are those in the tables about segments, under whatever name.
#[test]
fn ids_in_tables_about_segments_are_masked_as_those_of_the_profile_are() {
    let tiny = Tiny::new();
    let pipeline = tiny.read("pipelines/tiny.yaml");
    let asked = |sql: &str| {
        let output = tiny.segmill(&["query", sql, "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "csv"]);
        text(&output.stdout) + &text(&output.stderr)
    };
    let queries =
        ["select min(customer_id) as x from segment_membership", "select coalesce(max(merged_into), 'c001') as x from segment_changes"];
    for query in queries {
        assert!(asked(query).contains("c00"), "{}", asked(query));
    }
    tiny.write(
        "pipelines/tiny.yaml",
        &pipeline.replace("customer_id: {type: string, required: true}", "customer_id: {type: string, required: true, personal: true}"),
    );
    for query in queries {
        let told = asked(query);
        assert!(told.contains("***") && !told.contains("c00"), "{told}");
    }
}
