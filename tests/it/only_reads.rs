use std::path::Path;

use crate::support::{copy, package, segmill};
use crate::tiny::{PIPELINE, Tiny};

/// SQL that is not one query over the project's tables, with `«` where the problem is. `{t}` stands for a table that is there, and `FILE` for a
/// file that must not be touched.
const STATEMENTS: [&str; 58] = [
    "«copy {t} to 'FILE'",
    "«copy (select * from {t}) to 'FILE' stored as csv",
    "«COPY {t} TO 'FILE' STORED AS PARQUET OPTIONS ('format.compression' 'zstd')",
    "«create table x as select 1 as a",
    "«create or replace view v as select * from {t}",
    "«create external table x stored as csv location 'FILE'",
    "«create unbounded external table x stored as parquet location 'FILE'",
    "«create schema s",
    "«create database d",
    "«create function f(int) returns int return $1",
    "«create index i on {t} (customer_id)",
    "«drop table {t}",
    "«drop view if exists v",
    "«drop schema s cascade",
    "«alter table {t} add column x int",
    "«truncate table {t}",
    "«insert into {t} values ('x')",
    "«insert overwrite {t} select * from {t}",
    "«update {t} set customer_id = 'x'",
    "«delete from {t}",
    "«delete from {t} where customer_id = 'x'",
    "«set datafusion.execution.batch_size = 1",
    "«set time zone 'UTC'",
    "«reset datafusion.execution.batch_size",
    "«explain select * from {t}",
    "«explain analyze select * from {t}",
    "«explain verbose select * from {t}",
    "«explain copy {t} to 'FILE'",
    "«describe {t}",
    "«show tables",
    "«show all",
    "«show columns from {t}",
    "«show functions",
    "«show create table {t}",
    "«prepare p as select * from {t}",
    "«execute p",
    "«deallocate p",
    "«begin",
    "«commit",
    "«grant select on {t} to public",
    "«call f(1)",
    "select * from {t}; «drop table {t}",
    "select * from {t};\n  -- and more\n  «copy {t} to 'FILE';",
    "; select 1 as a ; «select 2 as a",
    "select * «into x from {t}",
    "with x as («insert into {t} values ('x') returning *) select * from x",
    "with x as («delete from {t} returning *) select * from {t}",
    "select * from {t} «for update",
    "select * from {t} «settings max_threads = 1",
    "select * from «'FILE'",
    "select * from «'file:///etc/passwd'",
    "select * from {t} union all select * from «'../a.parquet'",
    "select * from «read_csv('FILE')",
    "select * from {t} where customer_id in (select x from «read_parquet('FILE'))",
    "select * from «generate_series(1, 1000000000000)",
    "select * from {t}, «range(0, 5) as r",
    "select * from «information_schema.tables",
    "select * from {t} where exists (select 1 from «information_schema.df_settings)",
];

/// Where SQL stands in a project: a model or the query of a check, each with a table that it may read.
const PLACES: [(&str, &str); 3] = [("model", "staging.orders"), ("check", "customers"), ("check in a folded block", "customers")];

/// Every statement at every place is refused by `validate` where it stands, and touches nothing.
#[test]
fn sql_can_only_read() {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let of_place = |place: (&'static str, &'static str)| {
            let one = move |statement: &&str| not_refused(place, statement);
            scope.spawn(move || STATEMENTS.iter().filter_map(one).collect::<Vec<_>>())
        };
        let workers: Vec<_> = PLACES.into_iter().map(of_place).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with how a statement at a place is refused; none when nothing is.
fn not_refused((place, table): (&str, &str), statement: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    copy(&package().join("tests/errors/base"), folder.path());
    let file = folder.path().join("precious.csv");
    std::fs::write(&file, "do not touch\n").unwrap();
    let sql = statement.replace("{t}", table).replace("FILE", file.to_str().unwrap());
    let pipeline = folder.path().join("pipelines/customer_segments.yaml");
    let path = if place == "model" { folder.path().join("sql/features/other.sql") } else { pipeline.clone() };
    let marked = match place {
        "model" => format!("-- A model.\n{sql}\n"),
        _ => {
            let (block, indented) =
                if place == "check" { ("|", sql.replace('\n', "\n      ")) } else { (">", sql.replace('\n', "\n\n      ")) };
            let text = std::fs::read_to_string(&pipeline).unwrap();
            text.replacen("\noutputs:", &format!("\n  - name: evil\n    sql: {block}\n      {indented}\noutputs:"), 1)
        }
    };
    let before = marked.split('«').next().unwrap();
    let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap().chars().count() + 1);
    std::fs::write(&path, marked.replace('«', "")).unwrap();
    let output = segmill(folder.path(), &["validate"]);
    let told = String::from_utf8(output.stderr).unwrap();
    let at = format!("{}:{line}:{column}\n", path.strip_prefix(folder.path()).unwrap().display());
    if std::fs::read_to_string(&file).unwrap() != "do not touch\n" {
        return Some(format!("{place}: {statement}: a file was written"));
    }
    let is_told = output.status.code() == Some(2) && told.contains(&at) && told.contains("1 problem\n") && told.contains(" ^");
    (!is_told).then(|| format!("{place}: {statement}: exit {:?}, and not at {at}{told}", output.status.code()))
}

/// Conditions are no queries at all: rules, what always holds, and permissions.
#[test]
fn conditions_can_only_read() {
    let conditions = STATEMENTS.iter().map(|statement| statement.replace(['«', '\n'], " ").replace("{t}", "customers"));
    let more = [
        "true; drop table customers",
        "exists (select 1 from 'x.csv')",
        "orders > (select count(*) from read_csv('x.csv'))",
        "true into x",
    ];
    for condition in conditions.chain(more.map(str::to_owned)) {
        let quoted = condition.replace('\'', "''");
        for (from, to) in [
            ("when: 'true'", format!("when: '{quoted}'")),
            ("segments:\n  value:", format!("profile:\n  always: ['{quoted}']\nsegments:\n  value:")),
            ("    kind: exclusive\n", format!("    kind: exclusive\n    permissions: {{email: '{quoted}'}}\n")),
        ] {
            let tiny = Tiny::new();
            assert!(PIPELINE.contains(from));
            let text = PIPELINE.replacen(from, &to, 1);
            let line = text[..text.find(quoted.as_str()).unwrap()].matches('\n').count() + 1;
            tiny.write("pipelines/tiny.yaml", &text);
            let output = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{condition}: {told}");
            assert!(told.contains(&format!("pipelines/tiny.yaml:{line}:")), "{condition}: {told}");
        }
    }
}

/// What the cells of a given/expect case say is a value and never SQL.
#[test]
fn a_case_gives_values_and_no_sql() {
    let tiny = Tiny::new();
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\nselect customer_id, count(*) as orders, $edition as edition from staging.orders group by 1, 3\n",
    );
    let evil = "x''; copy customers to ''precious.csv'' --";
    tiny.write("precious.csv", "do not touch\n");
    tiny.write(
        "tests/models/evil.yaml",
        &format!(
            "- name: a\n  model: customers\n  as_of: 2026-11-01\n  given:\n    staging.orders:\n      - {{customer_id: '{evil}'}}\n  expect:\n    \
             - {{customer_id: '{evil}', orders: 1}}\n"
        ),
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(tiny.read("precious.csv"), "do not touch\n");
}

/// A check reads what models do: parameters, common table expressions, subqueries and lists as rows.
#[test]
fn checks_read_parameters_and_anything_that_is_a_query() {
    let tiny = Tiny::new();
    let checks = [
        "select customer_id from customers where orders > 2 * $edition",
        "with t as (select customer_id, orders from customers) select * from t as a join t as b using (customer_id) where a.orders <> b.orders",
        "select customer_id from customers where customer_id in (select customer_id from segment_membership where segment = ''nobody'')",
        "(select customer_id from customers where $as_of < ''2000-01-01'') union all select x from unnest([''a'']) as t(x) where x = ''b''",
        "values (1) except select 1;",
        "select * from customers order by customer_id limit 0",
    ];
    let lines: String = checks.iter().enumerate().map(|(at, sql)| format!("  - {{name: c{at}, sql: '{sql}'}}\n")).collect();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("outputs:\n", &format!("checks:\n{lines}outputs:\n"), 1));
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("6 passed"), "{told}");
    assert!(Path::new(&tiny.folder.path().join("out/commits/00000001.json")).exists());
}

/// A check that would write personal columns to any path, or over what is published, does neither.
#[test]
fn a_check_writes_no_file() {
    let tiny = Tiny::new();
    tiny.write("precious.csv", "do not touch\n");
    assert!(tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]).status.success());
    let commit: serde_json::Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    let published = tiny.folder.path().join("out").join(commit["tables"]["customers"]["files"][0]["path"].as_str().unwrap());
    let before = std::fs::read(&published).unwrap();
    let precious = tiny.folder.path().join("precious.csv");
    for (target, format) in [(&precious, "csv"), (&published, "parquet")] {
        let copy = format!("copy (select * from customers) to '{}' stored as {format}", target.display());
        let check = format!("checks:\n  - {{name: c, severity: warn, sql: \"{copy}\"}}\noutputs:\n");
        tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("outputs:\n", &check, 1));
        let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-02"]);
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(tiny.read("precious.csv"), "do not touch\n");
        assert_eq!(std::fs::read(&published).unwrap(), before);
    }
}

/// A chain is taken apart by recursion: one for which there is no room is told, and none overflows the stack.
#[test]
fn a_chain_that_is_too_long_is_told() {
    for (first, link, least) in [
        ("select 1", " union all select 1", 500),
        ("select 1", " + 1", 200),
        ("select 1 = 1", " or 1 = 1", 100),
        ("select '1'", "::text", 300),
    ] {
        for (links, status) in [(least, 0), (30_000, 2)] {
            let tiny = Tiny::new();
            tiny.write("sql/features/long.sql", &format!("-- Long.\n{first}{}\n", link.repeat(links)));
            let output = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{link} {links}: {}", told.chars().take(500).collect::<String>());
            assert!(status == 0 || told.contains("[sql-too-deep]"), "{link}");
        }
    }
    let tiny = Tiny::new();
    tiny.write(
        "pipelines/tiny.yaml",
        &PIPELINE.replacen("when: orders > 1", &format!("when: orders > 1{}", " or orders > 2".repeat(30_000)), 1),
    );
    let output = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && told.contains("[sql-too-deep]"),
        "{:?} {}",
        output.status,
        told.chars().take(2000).collect::<String>()
    );
}
