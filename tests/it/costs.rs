use std::process::{Command, Stdio};

use crate::tiny::{PIPELINE, Tiny};

/// More memory than any of these may take, the unoptimised binary that is mapped among it.
const MOST_KIBIBYTES: u64 = 400 * 1024;

/// Longer than any of these may take on a machine that has other things to do.
const MOST_SECONDS: &str = "60";

const CUSTOMERS: &str = "select customer_id, count(*) as orders, $edition as edition from staging.orders group by customer_id";

/// Runs the project, within bounds of time and memory that the system holds it to; the exit status and what it says.
fn outcome(tiny: &Tiny, what: &str) -> (i32, String) {
    let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    command.args(["--memory-limit", "256MiB", "--threads", "2", "--timeout", &format!("{MOST_SECONDS}s"), "--record", "record.json"]);
    let output = command.stdout(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let shown: String = told.chars().take(600).collect();
    assert!(!told.contains("defect") && !told.contains("time was up"), "{what}: {shown}");
    let status = output.status.code().unwrap_or_else(|| panic!("{what}: a signal ended it: {shown}"));
    // A project that is refused early has no record, and has taken no memory to speak of.
    if let Ok(record) = std::fs::read(tiny.folder.path().join("record.json")) {
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let peak = record["peak_memory_bytes"].as_u64().unwrap_or(0) / 1024;
        assert!(peak < MOST_KIBIBYTES, "{what} takes {peak} KiB: {shown}");
    }
    (status, told)
}

fn with(expression: &str) -> String {
    CUSTOMERS.replace(" from", &format!(", {expression} as x from"))
}

/// Each step reads the one before, as the pattern says; the last gives the customers.
fn steps(first: &str, step: &str, count: usize, last: &str) -> String {
    let steps: String = (1..count).map(|at| format!(", s{at} as ({})", step.replace("{}", &format!("s{}", at - 1)))).collect();
    format!("with s0 as ({first}){steps} {}", last.replace("{}", &format!("s{}", count - 1)))
}

/// SQL that is short and would cost much, with what becomes of it.
fn models() -> Vec<(&'static str, String, i32, &'static str)> {
    let ids = "select customer_id from staging.orders";
    let last = "select customer_id, count(*) as orders, $edition as edition from {} group by customer_id";
    let number = "select customer_id, 1 as a from staging.orders";
    let text = "select customer_id, customer_id as a from staging.orders";
    let lengths = "select customer_id, count(*) as orders, $edition as edition, max(length(a)) as x from {} group by customer_id";
    let filtered = "select customer_id, count(*) as orders, $edition as edition, max(a) as x from {} where a > 3 group by customer_id";
    let mut models = Vec::new();
    let mut add = |name, sql, status, told| models.push((name, sql, status, told));
    for link in ["or 1 = 1", "and 1 = 1", "+ 1", "|| 'a'", "::bigint", "is null", "between 0 and 1", "in (1)", "is not null", "like 'a'"] {
        add(link, with(&format!("1 {}", format!("{link} ").repeat(10_000))), 2, "[sql-too-deep]");
    }
    for (open, close) in [("(", ")"), ("abs(", ")"), ("not ", ""), ("case when true then ", " end"), ("[", "]"), ("coalesce(1, ", ")")] {
        add(open, with(&format!("{}1{}", open.repeat(3_000), close.repeat(3_000))), 2, "[sql-too-deep]");
    }
    add("subqueries", format!("{}{CUSTOMERS}{}", "select * from (".repeat(400), ") t".repeat(400)), 2, "[sql-too-deep]");
    let twice = "select a.customer_id from {} a join {} b on a.customer_id = b.customer_id";
    add("steps of joins", steps(ids, twice, 22, last), 2, "[sql-too-costly]");
    add("more steps of joins", steps(ids, twice, 60, last), 2, "[sql-too-costly]");
    add("steps of unions", steps(ids, "select customer_id from {} union all select customer_id from {}", 60, last), 2, "[sql-too-costly]");
    let within = "select customer_id from staging.orders where customer_id in (select customer_id from {}) or exists (select 1 from {})";
    add("steps of conditions", steps(ids, within, 60, last), 2, "[sql-too-costly]");
    add("a long way", steps(ids, "select customer_id from {}", 3_000, last), 2, "[sql-too-costly]");
    add("joins", format!("select o.customer_id from staging.orders o{}", " cross join staging.orders".repeat(500)), 2, "[sql-too-costly]");
    add("sums of sums", steps(number, "select customer_id, a + a as a from {}", 40, filtered), 2, "[sql-too-costly]");
    let choice = "select customer_id, case when a > 1 then a else -a end as a from {}";
    add("choices of choices", steps(number, choice, 40, filtered), 2, "[sql-too-costly]");
    add("a cube", CUSTOMERS.replace("by customer_id", &format!("by cube(customer_id{})", ", 1".repeat(30))), 2, "[sql-too-costly]");
    add("columns", with(&vec!["1"; 10_000].join(", ")), 2, "[sql-too-costly]");
    add("a long text", with(&format!("'{}'", "x".repeat(1_000_000))), 2, "[sql-too-costly]");
    for function in [
        "length(repeat('x', 2000000000))",
        "length(repeat(customer_id, 2000000000))",
        "length(lpad('x', 2000000000))",
        "length(rpad(customer_id, 2000000000, 'ü'))",
        "length(concat(repeat('x', 60000000), repeat('x', 60000000)))",
        "length(concat_ws(repeat(',', 30000000), customer_id, customer_id, customer_id, customer_id))",
        "length(repeat(customer_id, 4000000) || repeat(customer_id, 4000000))",
        "length(replace(repeat(customer_id, 100000), 'c', repeat('x', 100000)))",
        "length(regexp_replace(repeat(customer_id, 100000), 'c', repeat('x', 100000), 'g'))",
        "length(encode(repeat(customer_id, 100000000), 'hex'))",
        "array_length(generate_series(1, 1000000000000))",
        "array_length(generate_series(date '0001-01-01', date '9999-12-31', interval '1' day)) + array_length(range(count(*) * 1000000000))",
        "array_length(range(timestamp '1970-01-01', timestamp '2200-01-01', interval '1' millisecond))",
        "array_length(array_repeat(customer_id, 10000000000))",
        "array_length(array_resize([customer_id], 10000000000, 'x'))",
        "length(array_to_string(generate_series(1, 1000000), repeat('x', 1000)))",
        "array_length(string_to_array(repeat(customer_id, 1000000), NULL))",
        "repeat('x', 20000)",
    ] {
        add(function, with(function).replace("group by customer_id", "group by customer_id, customer_id"), 2, "[memory-limit]");
    }
    add("doubled texts", steps(text, "select customer_id, a || a as a from {}", 40, lengths), 2, "[memory-limit]");
    add("doubled by a function", steps(text, "select customer_id, concat(a, a) as a from {}", 40, lengths), 2, "[memory-limit]");
    add("texts within texts", steps(text, "select customer_id, replace(a, 'c', a || a) as a from {}", 30, lengths), 2, "[memory-limit]");
    for again in ["n + 1", "n"] {
        let recursive = format!("with recursive r as (select 1 as n union all select {again} from r) {}", with("(select max(n) from r)"));
        add("a recursion", recursive, 3, "a recursive query has not ended after 10000 rounds");
    }
    models
}

#[test]
fn sql_that_would_cost_much_is_refused_in_little_time_and_memory() {
    for (name, sql, status, told) in models() {
        let tiny = Tiny::new();
        tiny.write("sql/customers.sql", &format!("-- A customer.\n{sql}\n"));
        let (found, said) = outcome(&tiny, name);
        let shown: String = said.chars().take(600).collect();
        assert!(found == status && said.contains(told), "{name}: {found} {shown}");
        // Whatever is refused before it runs is told at its place.
        assert!(!told.contains("sql-") || said.contains("sql/customers.sql:2:"), "{name}: {shown}");
    }
}

/// What people write stays as it was: bounds are far above it.
#[test]
fn sql_that_people_write_is_within_the_bounds() {
    let ids = "select customer_id from staging.orders";
    let last = "select customer_id, count(*) as orders, $edition as edition from {} group by customer_id";
    let number = "select customer_id, 1 as a from staging.orders";
    let filtered = "select customer_id, count(*) as orders, $edition as edition, max(a) as x from {} where a > 3 group by customer_id";
    for (name, sql) in [
        ("brackets", with(&format!("{}1{}", "(".repeat(40), ")".repeat(40)))),
        ("a chain", with(&vec!["count(*) = 1"; 300].join(" or "))),
        ("conditions on null", with(&vec!["max(customer_id) is not null"; 300].join(" and "))),
        ("a list", with(&format!("count(*) in ({})", (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")))),
        ("steps", steps(ids, "select customer_id from {}", 100, last)),
        ("unions", steps(ids, "select customer_id from {} union all select customer_id from {}", 7, last)),
        ("sums of sums", steps(number, "select customer_id, a + a as a from {}", 11, filtered)),
        (
            "a cube",
            CUSTOMERS.replace("group by customer_id", "group by customer_id, cube(customer_id, 1, 2)").replace("count(*)", "sum(1)"),
        ),
        ("columns", with(&(0..300).map(|n| format!("{n} as c{n}")).chain(["1".to_owned()]).collect::<Vec<_>>().join(", "))),
        ("a calendar", with("array_length(generate_series(date '2000-01-01', date '2030-12-31', interval '1' day))")),
        ("texts", with("lpad(customer_id || '-' || repeat('x', 100), 200, '0')").replace("group by", "group by customer_id,")),
        (
            "a recursion",
            format!("with recursive r as (select 1 as n union all select n + 1 from r where n < 50) {}", with("(select max(n) from r)")),
        ),
    ] {
        let tiny = Tiny::new();
        tiny.write("sql/customers.sql", &format!("-- A customer.\n{sql}\n"));
        let (status, said) = outcome(&tiny, name);
        assert!(status == 0 || said.contains("came twice"), "{name}: {status} {}", said.chars().take(900).collect::<String>());
    }
}

/// Models that read one another without being kept are planned as one: as many as there may be, whatever they make of each other.
#[test]
fn a_long_line_of_models_is_computed_in_parts() {
    let tiny = Tiny::new();
    tiny.write("sql/staging/s000.sql", "-- A number.\nselect customer_id, 1 as a from staging.orders\n");
    for at in 1..300 {
        let sum = if at % 8 == 0 { "a" } else { "case when a > 5 then 1 else a + a end" };
        tiny.write(
            &format!("sql/staging/s{at:03}.sql"),
            &format!("-- A number.\nselect customer_id, {sum} as a from staging.s{:03}\n", at - 1),
        );
    }
    let last =
        "-- A customer.\nselect customer_id, count(*) as orders, $edition as edition from staging.s299 where a < 99 group by customer_id\n";
    tiny.write("sql/customers.sql", last);
    let (status, said) = outcome(&tiny, "a line of models");
    assert_eq!(status, 0, "{said}");
}

/// A pipeline file that is small and would cost much, with what becomes of it.
fn pipelines() -> Vec<(&'static str, String, &'static str)> {
    let rule = |rule: &str| PIPELINE.replacen("when: orders > 1", &format!("when: '{rule}'"), 1);
    let segment = |at: usize| format!("      - {{name: s{at}, when: orders > {at}, description: D, action: A, channel: email}}\n");
    let before_others = |more: String| PIPELINE.replacen("      - {name: others", &format!("{more}      - {{name: others"), 1);
    let column = |more: &str| PIPELINE.replacen("required: true}", &format!("required: true, {more}}}"), 1);
    let bomb: String = (1..40).map(|at| format!("x{at}: &x{at} [*x{0}, *x{0}]\n", at - 1)).collect();
    let merged: String = (1..300).map(|at| format!("x{at}: &x{at}\n  <<: [*x{0}, *x{0}]\n  k{at}: 1\n", at - 1)).collect();
    let named = |name: &str| (0..30_000).map(|at| format!("{}: 1\n", name.replace("{}", &at.to_string()))).collect::<String>();
    vec![
        ("or", rule(&vec!["orders > 1"; 1_100].join(" or ")), "[sql-too-deep]"),
        ("not", rule(&format!("{}(orders > 1)", "not ".repeat(3_000))), "[sql-too-deep]"),
        ("is null", rule(&format!("orders {}", "is null ".repeat(1_500))), "[sql-too-deep]"),
        ("brackets", rule(&format!("{}orders > 1{}", "(".repeat(5_000), ")".repeat(5_000))), "[sql-too-deep]"),
        ("a long rule", rule(&format!("orders in ({})", vec!["1"; 10_000].join(", "))), "[sql-too-costly]"),
        ("segments", before_others((0..10_000).map(segment).collect()), "[too-many-segments]"),
        ("aliases", format!("x0: &x0 [1, 1]\n{bomb}{PIPELINE}"), "more than 250000 values"),
        ("merges", format!("x0: &x0 {{a: 1}}\n{merged}{PIPELINE}"), "more than 250000 values"),
        ("keys", format!("{PIPELINE}{}", named("k{}")), "more than 2000 keys"),
        ("one key", format!("{PIPELINE}{}", named("k")), "more than 2000 keys"),
        ("depth", format!("{PIPELINE}checks: {}{}\n", "[".repeat(5_000), "]".repeat(5_000)), "[invalid-yaml]"),
        ("depth of mappings", format!("{PIPELINE}checks: {}1{}\n", "{a: ".repeat(5_000), "}".repeat(5_000)), "[invalid-yaml]"),
        ("a pattern", column("pattern: '(a{1000}){1000}'"), "[invalid-pattern]"),
        ("a deep pattern", column(&format!("pattern: '{}a{}'", "(".repeat(9_000), ")".repeat(9_000))), "[invalid-pattern]"),
        (
            "a domain",
            PIPELINE.replacen(
                "outputs:\n",
                &format!(
                    "profile:\n  columns:\n    orders: {{accepted: [{}]}}\noutputs:\n",
                    (0..20_000).map(|at| at.to_string()).collect::<Vec<_>>().join(", ")
                ),
                1,
            ),
            "[too-many-values]",
        ),
        ("a large file", format!("{PIPELINE}# {}\n", "x".repeat(5 << 20)), "[file-too-large]"),
    ]
}

#[test]
fn pipeline_files_that_would_cost_much_are_refused_in_little_time_and_memory() {
    for (name, pipeline, told) in pipelines() {
        let tiny = Tiny::new();
        tiny.write("pipelines/tiny.yaml", &pipeline);
        let (status, said) = outcome(&tiny, name);
        assert!(status == 2 && said.contains(told), "{name}: {status} {}", said.chars().take(900).collect::<String>());
    }
}

/// Many rules over many values are proved, or told as not proved.
#[test]
fn proofs_of_many_rules_come_to_an_end() {
    for kind in ["exclusive", "partition", "overlapping"] {
        let segments: String = (0..100)
            .map(|at| {
                let rule = format!("orders = {at} or edition * {} > {at} and customer_id like \\'a{at}%\\'", at + 2).replace("\\'", "''");
                format!("      - {{name: s{at}, when: '{rule}', description: D, action: A, channel: email}}\n")
            })
            .collect();
        let tiny = Tiny::new();
        let pipeline = PIPELINE.replacen("kind: exclusive", &format!("kind: {kind}"), 1);
        tiny.write("pipelines/tiny.yaml", &pipeline.replacen("      - {name: buyers", &format!("{segments}      - {{name: buyers"), 1));
        let output = Command::new(env!("CARGO_BIN_EXE_segmill"))
            .args(["validate", "pipelines/tiny.yaml"])
            .current_dir(tiny.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|status| [0, 2].contains(&status)), "{kind}: {said}");
        // Rules that may overlap are looked at one by one.
        assert!(kind == "overlapping" || said.contains("[unproved-set]"), "{kind}: {said}");
    }
}
