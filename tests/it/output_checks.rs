use serde_json::Value;
use tempfile::TempDir;

use crate::support::{copy, package, rows_of_parquet, segmill};

/// The small project of `tests/errors`, with checks of the test's own.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn with(checks: &str) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        copy(&package().join("tests/errors/base"), folder.path());
        let pipeline = folder.path().join("pipelines/customer_segments.yaml");
        let text = std::fs::read_to_string(&pipeline).unwrap();
        let (before, rest) = text.split_once("checks:\n").unwrap();
        let outputs = rest.split_once("outputs:\n").unwrap().1;
        std::fs::write(&pipeline, format!("{before}checks:\n{checks}\noutputs:\n{outputs}")).unwrap();
        Shop { folder }
    }

    fn edit(self, path: &str, from: &str, to: &str) -> Shop {
        let path = self.folder.path().join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        self
    }

    /// Orders as (order, moment, customer, country, amount).
    fn orders(&self, rows: impl Iterator<Item = String>) {
        let header = std::iter::once("order_id,ordered_at,customer_id,country,amount".to_owned());
        let text: Vec<String> = header.chain(rows).collect();
        std::fs::write(self.folder.path().join("extracts/orders.csv"), text.join("\n") + "\n").unwrap();
    }

    fn run(&self, as_of: &str) -> Run {
        let output = segmill(self.folder.path(), &["run", "--as-of", as_of, "--format", "json"]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let result = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)));
        Run { status: output.status.code().unwrap(), result }
    }

    fn commits(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("out/commits")).map_or(0, Iterator::count)
    }
}

struct Run {
    status: i32,
    result: Value,
}

impl Run {
    fn verdict(&self, check: &str) -> (&str, &str) {
        let verdicts = self.result["checks"].as_array().unwrap_or_else(|| panic!("{:#}", self.result));
        let verdict = verdicts.iter().find(|verdict| verdict["check"] == check).unwrap();
        (verdict["outcome"].as_str().unwrap(), verdict["found"].as_str().unwrap())
    }

    fn details(&self) -> Vec<&str> {
        self.result["problems"][0]["details"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
    }
}

/// As many customers, each with an order of their amount, as there are amounts.
fn customers(amounts: impl Iterator<Item = u32>) -> impl Iterator<Item = String> {
    amounts.enumerate().map(|(at, amount)| format!("o{at},2025-03-01T09:00:00,c{at:04},GB,{amount}.00"))
}

#[test]
fn every_kind_of_check_that_fails_refuses_the_run_with_its_rows() {
    let shop = Shop::with(
        r"
  - {name: one_a_country, unique: {table: customers, columns: [country]}}
  - {name: countries_known, not_null: {table: customers, columns: [country, revenue]}}
  - {name: only_france, accepted: {table: customers, column: country, values: [France]}}
  - {name: many, rows: {table: customers, min: 10}}
  - {name: few, rows: {table: customers, max: 1}}
  - {name: nobody_spends, sql: 'select customer_id, revenue from customers where revenue > 15 order by revenue desc'}
  - {name: all_active, segment_size: {segment_set: lifecycle, segment: lapsed, max_customers: 0}}
  - {name: balanced, segment_size: {segment_set: lifecycle, min_share: 0.3, max_share: 0.7}}
  - {name: fine, severity: fail, rows: {table: customers, min: 4, max: 4}}
",
    );
    let order = |id: u32, customer: &str, country: &str, amount: u32| format!("o{id},2025-03-01T09:00:00,{customer},{country},{amount}.00");
    shop.orders([order(1, "c1", "GB", 10), order(2, "c2", "GB", 20), order(3, "c3", "FR", 30), order(4, "c4", "XX", 5)].into_iter());
    let run = shop.run("2026-03-01");
    assert_eq!(run.status, 3, "{:#}", run.result);
    assert_eq!(shop.commits(), 0, "nothing is published");
    let details = run.details();
    for (check, parts) in [
        ("one_a_country", &["1 value of country stands in several rows", "| United Kingdom | 2    |"][..]),
        ("countries_known", &["1 row lacks country or revenue", "| c4 "]),
        ("only_france", &["2 rows whose `country` is none of the accepted values", "| c1          | United Kingdom |"]),
        ("many", &["4 rows, fewer than 10"]),
        ("few", &["4 rows, more than 1"]),
        ("nobody_spends", &["the query returned 2 rows", "| c3          | 30.00   |\n    | c2          | 20.00   |"]),
        ("all_active", &["`lapsed` has 4 customers, more than 0"]),
        ("balanced", &["`lapsed` has 100.0%, more than 70.0%", "`active` has 0.0%, fewer than 30.0%"]),
    ] {
        let told = details.iter().find(|line| line.starts_with(&format!("{check}: "))).unwrap_or_else(|| panic!("{check}: {details:?}"));
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
    assert_eq!(details.len(), 8);
    let kept = details[2].split("kept in ").nth(1).unwrap();
    let kept = shop.folder.path().join(kept);
    assert!(kept.ends_with("failed_checks/only_france.parquet"), "{kept:?}");
    let rows = rows_of_parquet(&[kept], "select customer_id, country from t order by 1");
    assert_eq!(rows, [["c1", "United Kingdom"], ["c2", "United Kingdom"]]);
}

#[test]
fn a_warning_publishes_and_says_what_it_found() {
    let shop = Shop::with(
        "  - {name: many, severity: warn, rows: {table: customers, min: 10}}\n  - {name: some, rows: {table: customers, min: 1}}",
    );
    let run = shop.run("2026-03-01");
    assert_eq!((run.status, shop.commits()), (0, 1));
    assert_eq!(run.verdict("many"), ("failed", "2 rows, fewer than 10"));
    assert_eq!(run.verdict("some"), ("passed", "2 rows"));
    let output = segmill(shop.folder.path(), &["run", "--as-of", "2026-03-02"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("Checks  1 passed, 1 warned, 0 skipped\n  warning: many: 2 rows, fewer than 10\n"), "{told}");
}

const CHANGES: &str = "
  - {name: no_fall, change: {table: customers, max_fall: 0.1}}
  - {name: no_rise, severity: warn, change: {table: customers, max_rise: 0.1}}
  - {name: shares, severity: warn, change: {segment_set: lifecycle, max_points: 0.05}}
  - {name: spread, severity: warn, change: {table: customers, column: revenue, max_psi: 0.25}}";

#[test]
fn change_is_measured_from_the_publication_of_the_nearest_earlier_day() {
    let shop = Shop::with(CHANGES);
    shop.orders(customers(1..=1000));
    let first = shop.run("2025-06-01");
    assert_eq!(first.status, 0, "{:#}", first.result);
    let nothing = ("skipped", "there is no publication of an earlier day to compare with");
    for check in ["no_fall", "no_rise", "shares", "spread"] {
        assert_eq!(first.verdict(check), nothing);
    }

    // The next day: more customers, amounts pushed together, and nobody ordered since.
    shop.orders(customers((1..=1000).map(|i| i * i / 1000).chain(std::iter::repeat_n(5, 200))));
    let second = shop.run("2025-12-01");
    assert_eq!(second.status, 0, "{:#}", second.result);
    let since = "the publication as of 2025-06-01";
    assert_eq!(second.verdict("no_fall"), ("passed", format!("1200 rows after 1000 in {since}, +20.0%").as_str()));
    assert_eq!(second.verdict("no_rise").1, format!("1200 rows after 1000 in {since}, +20.0%, a rise of more than 10.0%"));
    assert_eq!(
        second.verdict("shares").1,
        "`lapsed` went from 0.0% to 100.0%, by more than 0.05 of all customers; `active` went from 100.0% to 0.0%, by more than 0.05 of all customers"
    );
    // Reference number: Python's `math.log` and `bisect` over the same amounts.
    assert_eq!(second.verdict("spread").1, format!("the population stability index of `revenue` is {SPREAD} since {since}, above 0.25"));

    // A day between the two compares with the first, though the second was published later.
    shop.orders(customers(1..=850));
    let between = shop.run("2025-07-01");
    assert_eq!(between.status, 3);
    assert!(between.details()[0].contains("850 rows after 1000 in the publication as of 2025-06-01, -15.0%, a fall of more than 10.0%"));
    assert_eq!(shop.commits(), 2);
}

#[test]
fn what_the_earlier_publication_lacks_is_skipped() {
    let shop = Shop::with("  - {name: some, rows: {table: customers, min: 1}}");
    assert_eq!(shop.run("2026-03-01").status, 0);
    let shop = shop
        .edit(
            "pipelines/customer_segments.yaml",
            "  - {name: some, rows: {table: customers, min: 1}}",
            &[CHANGES, "\n  - {name: new_column, change: {table: customers, column: doubled, max_psi: 0.1}}"].concat(),
        )
        .edit("sql/customers.sql", "    o.revenue,\n", "    o.revenue,\n    o.revenue * 2 as doubled,\n");
    let run = shop.run("2026-03-02");
    assert_eq!(run.verdict("new_column"), ("skipped", "the publication as of 2026-03-01 has no `customers.doubled`"));
    let few = ("skipped", "there are fewer than 20 rows now or in the publication as of 2026-03-01, too few to compare");
    assert_eq!(run.verdict("spread"), few);
}

/// Promise 8: what a source marks as personal, what the pipeline file says is, and what a query makes of either stays unseen.
#[test]
fn personal_values_are_neither_shown_nor_kept() {
    let shop = Shop::with(
        r"
  - {name: phones, sql: 'select customer_id, phone, upper(contact) as c, country from customers'}
  - {name: contacts, unique: {table: customers, columns: [contact]}}
  - {name: known, accepted: {table: customers, column: phone, values: ['1']}}
",
    )
    .edit(
        "pipelines/customer_segments.yaml",
        "      country: string\n",
        "      country: string\n      phone: {type: string, personal: true}\n",
    )
    .edit("pipelines/customer_segments.yaml", "sort: [customer_id]}", "sort: [customer_id], personal: [contact]}")
    .edit("sql/customers.sql", "    o.revenue,\n", "    o.revenue,\n    o.phone,\n    concat('tel:', o.phone) as contact,\n")
    .edit(
        "sql/features/orders.sql",
        "    max(country) as country_code,\n",
        "    max(country) as country_code,\n    max(phone) as phone,\n",
    );
    let staging = std::fs::read_to_string(shop.folder.path().join("sql/staging/orders.sql")).unwrap();
    let shop = shop.edit("sql/staging/orders.sql", &staging, &staging.replace("    country,\n", "    country,\n    phone,\n"));
    let rows = ["a,2025-03-01T09:00:00,c1,GB,10.00,07700900123", "b,2025-03-01T09:00:00,c2,FR,10.00,07700900123"];
    std::fs::write(
        shop.folder.path().join("extracts/orders.csv"),
        format!("order_id,ordered_at,customer_id,country,amount,phone\n{}\n", rows.join("\n")),
    )
    .unwrap();
    let run = shop.run("2026-03-01");
    assert_eq!(run.status, 3, "{:#}", run.result);
    let details = run.details().join("\n");
    assert!(details.contains("| c1          | *** ") && details.contains("| United Kingdom |"), "{details}");
    assert!(!details.contains("0900123"), "{details}");
    assert_eq!(details.matches("kept in").count(), 3);
    for kept in details.split("kept in ").skip(1).map(|rest| rest.lines().next().unwrap()) {
        let file = shop.folder.path().join(kept);
        let cells = rows_of_parquet(std::slice::from_ref(&file), "select * from t").concat();
        assert!(cells.iter().any(|cell| cell == "***") && cells.iter().all(|cell| !cell.contains("0900123")), "{kept}: {cells:?}");
        assert!(!String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains("0900123"));
    }
}

const SPREAD: &str = "0.7027";
