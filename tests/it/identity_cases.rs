//! Extracts of ties that showed harm to identities, through the command: who is who, under which ids, from day to day.

use std::collections::BTreeSet;
use std::process::Output;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{package, rows_of_parquet};
use crate::tiny::Tiny;

const OUTPUTS: &str = "outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    ids: {model: identity.customers, sort: [identifier_type, identifier]}
    conflicts: {model: identity.conflicts, sort: [reason, identifier_type, identifier, other_type, other, source]}
    aliases: {model: identity.aliases, sort: [alias_id]}
";

const EDGES: &str = "-- Ties as they come.
select it as identifier_type, i as identifier, ot as other_type, o as other, src as source, f as first_seen_at, l as last_seen_at,
    e as ended_at
from sources.ties
";

/// A project whose extract has the rows of `identity.edges`.
struct Ties(Tiny);

impl Ties {
    fn new(types: &str, rows: &[&str]) -> Ties {
        let project = Tiny { folder: tempfile::tempdir().unwrap() };
        let ties = Ties(project);
        ties.declare(types);
        let models = [
            ("edges", EDGES),
            ("customers", "-- Who is who.\nselect * from resolved.customers\n"),
            ("aliases", "-- Ids that ended.\nselect * from resolved.aliases\n"),
            (
                "conflicts",
                "-- What was kept apart.\nselect reason, identifier_type, identifier, coalesce(other_type, '') as other_type,
    coalesce(other, '') as other, coalesce(source, '') as source, first_seen_at, last_seen_at, edges, customer_id, other_customer_id,
    explanation
from resolved.conflicts\n",
            ),
        ];
        for (name, sql) in models {
            ties.0.write(&format!("sql/identity/{name}.sql"), sql);
        }
        let customers = "-- A customer.\nselect customer_id, count(*) as identifiers from identity.customers group by customer_id\n";
        ties.0.write("sql/customers.sql", customers);
        ties.extract(rows);
        ties
    }

    fn declare(&self, types: &str) {
        let columns: String = ["it", "ot", "o", "src"].iter().map(|name| format!("      {name}: string\n")).collect();
        let times: String = ["f", "l", "e"].iter().map(|name| format!("      {name}: timestamp\n")).collect();
        let source = format!(
            "sources:\n  ties:\n    location: x/*.csv\n    event_time: ev\n    columns:\n      ev: {{type: timestamp, required: true}}\n      i: {{type: string, personal: true}}\n{columns}{times}"
        );
        self.0.write("pipelines/p.yaml", &format!("version: 1\nname: ties\n{source}identity:\n  trust: [crm, order]\n{types}{OUTPUTS}"));
    }

    /// Rows of event time, type, identifier, other type, other, source, first, last, ended; days alone are midnights.
    fn extract(&self, rows: &[&str]) {
        let lines = rows.iter().map(|row| row.split(',').map(moment).collect::<Vec<_>>().join(",") + "\n");
        self.0.write("x/ties.csv", &("ev,it,i,ot,o,src,f,l,e\n".to_owned() + &lines.collect::<String>()));
    }

    fn try_run(&self, day: &str) -> Output {
        self.0.segmill(&["run", "pipelines/p.yaml", "--as-of", day, "--force", "--format", "json"])
    }

    fn run(&self, day: &str) -> serde_json::Value {
        let output = self.try_run(day);
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn ask(&self, day: &str, table: &str, sql: &str) -> Vec<Vec<String>> {
        rows_of_parquet(&[self.0.folder.path().join(format!("out/{table}/as_of={day}/{table}.parquet"))], sql)
    }

    /// Every customer's identifiers of a type, by id.
    fn of_type(&self, day: &str, kind: &str) -> Vec<[String; 2]> {
        let found = self.ask(day, "ids", &format!("select identifier, customer_id from t where identifier_type = '{kind}' order by 1"));
        found.into_iter().map(|row| [row[0].clone(), row[1].clone()]).collect()
    }

    fn aliases(&self, day: &str) -> Vec<Vec<String>> {
        self.ask(day, "aliases", "select alias_id, customer_id, cast(merged_at as varchar) from t order by 1")
    }

    fn reasons(&self, day: &str) -> Vec<Vec<String>> {
        self.ask(day, "conflicts", "select reason, identifier, other from t order by 1, 2, 3")
    }
}

fn moment(cell: &str) -> String {
    let is_day = cell.len() == 10 && cell.as_bytes()[4] == b'-' && cell.starts_with("20");
    if is_day { format!("{cell}T00:00:00Z") } else { cell.to_owned() }
}

fn texts<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}

fn pairs(rows: &[[&str; 2]]) -> Vec<[String; 2]> {
    rows.iter().map(|row| row.map(str::to_owned)).collect()
}

/// The id of an address in these projects.
fn id_of(address: &str) -> String {
    format!("email:{}", segmill::functions::identifier_hash("", address))
}

#[test]
fn a_shared_phone_that_becomes_one_persons_leaves_aliases() {
    let types = "  types:\n    record: {standalone: true}\n    email: {personal: true, max_customers: 2}\n    phone: {personal: true, max_customers: 2}\n";
    let rows = [
        "2020-01-01,phone,p,record,A,crm,2020-01-01,2020-01-01,",
        "2020-01-01,phone,p,record,B,crm,2020-01-01,2020-01-01,",
        "2020-01-01,phone,p,record,C,crm,2020-01-01,2020-01-01,",
        "2020-01-02,email,x,record,A,crm,2020-01-02,2020-01-02,",
        "2020-01-02,email,x,record,B,crm,2020-01-02,2020-01-02,",
    ];
    let ties = Ties::new(types, &rows);
    ties.run("2020-01-02");
    assert_eq!(ties.of_type("2020-01-02", "record"), pairs(&[["A", "A"], ["B", "B"], ["C", "C"]]));
    assert_eq!(ties.aliases("2020-01-02"), texts::<3>(&[]));
    let told = ties.run("2020-01-03");
    assert_eq!(told["identity"]["merged"], 2);
    assert_eq!(ties.of_type("2020-01-03", "record"), pairs(&[["A", "A"], ["B", "A"], ["C", "A"]]));
    // Dated to the day on which they are first published as one, and told on every day after it.
    let expected = texts(&[["B", "A", "2020-01-03T00:00:00Z"], ["C", "A", "2020-01-03T00:00:00Z"]]);
    assert_eq!(ties.aliases("2020-01-03"), expected);
    assert_eq!(ties.run("2020-01-07")["identity"]["merged"], 0);
    assert_eq!(ties.aliases("2020-01-07"), expected);
}

#[test]
fn an_edge_that_was_pruned_and_joins_later_leaves_an_alias() {
    let types = "  types:\n    record: {standalone: true, max_per_customer: 2}\n    email: {personal: true}\n";
    let rows = [
        "2020-01-01,email,e,record,A,order,2020-01-01T01:00:00Z,2020-01-01T01:00:00Z,",
        "2020-01-01,email,e,record,B,order,2020-01-01T02:00:00Z,2020-01-01T02:00:00Z,",
        "2020-01-01,email,e,record,C,order,2020-01-01T03:00:00Z,2020-01-01T03:00:00Z,",
        "2020-01-02,email,f,record,B,crm,2020-01-02T01:00:00Z,2020-01-02T01:00:00Z,",
        "2020-01-02,email,f,record,D,crm,2020-01-02T01:00:00Z,2020-01-02T01:00:00Z,",
    ];
    let ties = Ties::new(types, &rows);
    ties.run("2020-01-02");
    assert_eq!(ties.of_type("2020-01-02", "record"), pairs(&[["A", "A"], ["B", "A"], ["C", "C"]]));
    ties.run("2020-01-03");
    assert_eq!(ties.of_type("2020-01-03", "record"), pairs(&[["A", "A"], ["B", "B"], ["C", "A"], ["D", "B"]]));
    assert_eq!(ties.aliases("2020-01-03"), texts(&[["C", "A", "2020-01-03T00:00:00Z"]]));
    // B was A's until then.
    let split = ties.ask("2020-01-03", "conflicts", "select identifier, customer_id, other_customer_id from t where reason = 'split'");
    assert_eq!(split, texts(&[["B", "B", "A"]]));
    assert!(ties.run("2020-01-04")["identity"]["split"] == 0);
}

#[test]
fn an_edge_that_expired_and_is_seen_again_leaves_an_alias() {
    let types = "  types:\n    record: {standalone: true}\n    email: {personal: true, valid_days: 10}\n";
    let seen = |day: &str| ["A", "B"].map(|record| format!("{day},email,x,record,{record},crm,{day},{day},"));
    let rows = [seen("2020-01-01"), seen("2020-03-01")].concat();
    let ties = Ties::new(types, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    for day in ["2020-01-02", "2020-02-01", "2020-03-02"] {
        ties.run(day);
    }
    let ids = |day| ties.of_type(day, "record");
    assert_eq!(ids("2020-01-02"), pairs(&[["A", "A"], ["B", "A"]]));
    assert_eq!(ids("2020-02-01"), pairs(&[["A", "A"], ["B", "B"]]));
    assert_eq!(ids("2020-03-02"), pairs(&[["A", "A"], ["B", "A"]]));
    assert_eq!(ties.aliases("2020-03-02"), texts(&[["B", "A", "2020-03-02T00:00:00Z"]]));
}

#[test]
fn edges_without_a_time_give_the_same_bytes_in_any_order_and_on_any_threads() {
    let types = "  types:\n    record: {standalone: true}\n    email: {personal: true, blocked: [none]}\n";
    let rows = [
        "2000-01-01,email,none,record,1,crm,2020-01-05,2020-01-05,",
        "2000-01-01,email,none,record,2,crm,,,",
        "2000-01-01,email,none,record,3,crm,2020-01-03,2020-01-03,",
    ];
    let ties = Ties::new(types, &rows);
    let mut found = BTreeSet::new();
    for (order, threads) in [([0, 1, 2], "1"), ([0, 2, 1], "2"), ([1, 0, 2], "3"), ([2, 1, 0], "4")] {
        ties.extract(&order.map(|at: usize| rows[at]));
        ties.0.write("x/more.csv", "ev,it,i,ot,o,src,f,l,e\n");
        let output = ties.0.segmill(&["run", "pipelines/p.yaml", "--as-of", "2021-01-01", "--force", "--threads", threads]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        found.insert(std::fs::read(ties.0.folder.path().join("out/conflicts/as_of=2021-01-01/conflicts.parquet")).unwrap());
    }
    assert_eq!(found.len(), 1);
    let seen = ties.ask("2021-01-01", "conflicts", "select cast(first_seen_at as varchar), cast(last_seen_at as varchar), edges from t");
    assert_eq!(seen, texts(&[["2020-01-03T00:00:00Z", "2020-01-05T00:00:00Z", "3"]]));
}

#[test]
fn limits_hold_in_whichever_order_types_are_declared() {
    let rows: Vec<String> =
        (0..100).map(|at| format!("2000-01-01,visitor,v{at},email,info@x.example,crm,2020-01-01,2020-01-01,")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let record = "    record: {standalone: true}\n";
    let email = "    email: {standalone: true, personal: true, max_customers: 2}\n";
    let visitor = "    visitor: {standalone: true, max_customers: 1}\n";
    let unlimited = "    visitor: {standalone: true}\n";
    for types in [[record, email, visitor], [record, visitor, email], [visitor, email, record], [record, email, unlimited]] {
        let ties = Ties::new(&format!("  types:\n{}", types.concat()), &rows);
        let told = ties.run("2021-01-01");
        assert_eq!(told["identity"]["customers"], 100, "{types:?}");
        assert_eq!(ties.reasons("2021-01-01"), texts(&[["shared", "info@x.example", ""]]));
    }
    // Within one type as well.
    let mut hub: Vec<String> = (0..50).map(|at| format!("2000-01-01,email,hub,email,e{at},crm,2020-01-01,2020-01-01,")).collect();
    hub.extend((0..50).map(|at| format!("2000-01-01,email,e{at},record,r{at},crm,2020-01-01,2020-01-01,")));
    let types = format!("  types:\n{record}    email: {{personal: true, max_customers: 1}}\n");
    let ties = Ties::new(&types, &hub.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ties.run("2021-01-01")["identity"]["customers"], 50);
    assert_eq!(ties.reasons("2021-01-01"), texts(&[["shared", "hub", ""]]));
    assert_eq!(ties.of_type("2021-01-01", "email").len(), 50);
}

#[test]
fn what_begins_on_the_day_or_later_is_not_known_yet() {
    let types = "  types:\n    record: {standalone: true}\n    email: {personal: true, transferable: true}\n";
    let rows = [
        "2000-01-01,email,x,record,1,crm,2020-01-01,2020-01-01,2020-06-01",
        "2000-01-01,email,x,record,2,crm,2021-06-01,2021-06-01,",
        "2000-01-01,record,9,,,crm,2030-01-01,2030-01-01,",
        "2000-01-01,record,8,,,crm,2021-01-01,2021-01-01,",
    ];
    let ties = Ties::new(types, &rows);
    let told = ties.run("2021-01-01");
    assert_eq!(ties.of_type("2021-01-01", "email"), pairs(&[["x", "1"]]));
    assert_eq!(ties.of_type("2021-01-01", "record"), pairs(&[["1", "1"]]));
    assert_eq!((&told["identity"]["edges_later"], ties.reasons("2021-01-01").len()), (&3.into(), 0));
    let output = ties.0.segmill(&["explain", "pipelines/p.yaml", "--identity", "x", "--as-of", "2021-01-01", "--format", "json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !told.contains("2021-06") && !told.contains("2030"), "{told}");
}

#[test]
fn an_id_stays_with_the_person_when_the_address_that_gave_it_goes_to_another_owner() {
    let types = "  types:\n    email: {standalone: true, personal: true, transferable: true}\n    record: {}\n";
    let rows = [
        "2020-01-01,email,x,record,1,crm,2020-01-01,2020-01-01,2020-06-01",
        "2020-02-01,email,y1,record,1,crm,2020-02-01,2020-02-01,",
        "2020-07-01,email,x,record,2,crm,2020-07-01,2020-07-01,",
    ];
    let ties = Ties::new(types, &rows);
    let id = id_of("x");
    ties.run("2020-06-15");
    assert_eq!(ties.of_type("2020-06-15", "record"), pairs(&[["1", &id]]));
    ties.run("2020-08-01");
    // The second owner's own id is told apart from the one that the address gave before.
    let second = format!("{id}~2");
    assert_eq!(ties.of_type("2020-08-01", "record"), pairs(&[["1", &id], ["2", &second]]));
    assert_eq!(ties.of_type("2020-08-01", "email"), pairs(&[["x", &second], ["y1", &id]]));
    assert_eq!(ties.aliases("2020-08-01"), texts::<3>(&[]));
    ties.run("2020-09-01");
    assert_eq!(ties.of_type("2020-09-01", "record"), pairs(&[["1", &id], ["2", &second]]));
    // Both ids can be asked for.
    for (asked, record) in [(&id, "1"), (&second, "2")] {
        let output = ties.0.segmill(&["explain", "pipelines/p.yaml", "--identity", asked, "--as-of", "2020-09-01"]);
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(told.contains(&format!("customer {asked} as of")) && told.contains(&format!("record {record}")), "{told}");
    }
}

#[test]
fn identifiers_that_look_like_ids_of_others_are_told_apart() {
    let types =
        "  types:\n    record: {standalone: true}\n    email: {standalone: true, personal: true}\n    visitor: {standalone: true}\n";
    let rows = [
        "2000-01-01,email,ann,,,crm,2020-01-01,2020-01-01,",
        "2000-01-01,record,email:49915e0d7d4b402e3017,,,crm,2020-01-01,2020-01-01,",
        "2000-01-01,visitor,1,,,crm,2020-01-01,2020-01-01,",
        "2000-01-01,record,visitor:1,,,crm,2020-01-01,2020-01-01,",
    ];
    let ties = Ties::new(types, &rows);
    assert_eq!(ties.run("2021-01-01")["identity"]["customers"], 4);
    let customers = ties.ask("2021-01-01", "customers", "select customer_id from t order by 1");
    let expected = ["email:49915e0d7d4b402e3017", "record:email:49915e0d7d4b402e3017", "record:visitor:1", "visitor:1"];
    assert_eq!(customers, texts(&expected.map(|id| [id])));
    // A type's name has no colon, so it cannot be mistaken for another's and a value.
    ties.declare("  types:\n    record: {standalone: true}\n    'a:b': {}\n    a: {}\n");
    let output = ties.try_run("2021-01-02");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("identifier-type") && told.contains("a:b"), "{told}");
}

#[test]
fn a_browser_alone_never_carries_the_id_of_an_address() {
    let types = "  types:\n    record: {standalone: true}\n    email: {standalone: true, personal: true, transferable: true}\n    visitor: {standalone: until_known}\n";
    let together = ["2020-01-01,email,e,visitor,v,crm,2020-01-01,2020-01-01,"];
    let ties = Ties::new(types, &together);
    ties.run("2020-02-01");
    ties.extract(&["2020-01-01,visitor,v,,,crm,2020-01-01,2020-01-01,"]);
    ties.run("2020-02-02");
    assert_eq!(ties.of_type("2020-02-02", "visitor"), pairs(&[["v", "visitor:v"]]));
    ties.extract(&["2020-01-01,visitor,v,email,other,crm,2020-01-01,2020-01-01,"]);
    ties.run("2020-02-03");
    assert_eq!(ties.of_type("2020-02-03", "email"), pairs(&[["other", &id_of("other")]]));
    ties.extract(&[
        "2020-01-01,visitor,v,email,other,crm,2020-01-01,2020-01-01,",
        "2020-01-01,email,e,record,9,crm,2020-01-01,2020-01-01,",
    ]);
    ties.run("2020-02-04");
    // Whose id it was has it again.
    assert_eq!(ties.of_type("2020-02-04", "record"), pairs(&[["9", &id_of("e")]]));
}

#[test]
fn a_contact_that_was_made_anew_is_found_under_the_old_number() {
    let types = "  types:\n    record: {standalone: true}\n    email: {standalone: true, personal: true, transferable: true}\n    phone: {personal: true}\n";
    let of = |record: &str| format!("2020-01-01,email,e,record,{record},crm,2020-01-01,2020-01-01,");
    let ties = Ties::new(types, &[&of("1")]);
    ties.run("2020-02-01");
    ties.extract(&[&of("9")]);
    ties.run("2020-02-02");
    // Nobody knows whether it is the same person, so nobody else gets the number; who asks for it is led on.
    assert_eq!(ties.of_type("2020-02-02", "record"), pairs(&[["9", "9"]]));
    assert_eq!(ties.aliases("2020-02-02"), texts(&[["1", "9", "2020-02-02T00:00:00Z"]]));
    // The address alone keeps the id that it has, whatever else comes to it that is nobody's number.
    ties.extract(&["2020-01-01,email,e,,,crm,2020-01-01,2020-01-01,"]);
    ties.run("2020-02-03");
    ties.extract(&["2020-01-01,email,e,phone,p,crm,2020-01-01,2020-01-01,"]);
    ties.run("2020-02-04");
    for day in ["2020-02-03", "2020-02-04"] {
        assert_eq!(ties.of_type(day, "email"), pairs(&[["e", "9"]]), "{day}");
    }
    // The first number is used again: it is its own.
    ties.extract(&["2020-01-01,email,e,phone,p,crm,2020-01-01,2020-01-01,", "2020-01-01,record,1,,,crm,2020-01-01,2020-01-01,"]);
    ties.run("2020-02-05");
    assert_eq!(ties.of_type("2020-02-05", "record"), pairs(&[["1", "1"]]));
    assert_eq!(ties.aliases("2020-02-05"), texts::<3>(&[]));
}

#[test]
fn who_comes_back_has_their_number_again_and_nobody_elses() {
    let types = "  types:\n    record: {standalone: true}\n    email: {standalone: true, personal: true, transferable: true}\n";
    let of = |record: &str| format!("2020-01-01,email,e,record,{record},crm,2020-01-01,2020-01-01,");
    let ties = Ties::new(types, &[&of("A")]);
    ties.run("2020-02-01");
    ties.extract(&[&of("B")]);
    ties.run("2020-02-02");
    assert_eq!(ties.aliases("2020-02-02"), texts(&[["A", "B", "2020-02-02T00:00:00Z"]]));
    ties.extract(&["2020-01-01,record,A,,,crm,2020-01-01,2020-01-01,"]);
    ties.run("2020-02-03");
    assert_eq!(ties.of_type("2020-02-03", "record"), pairs(&[["A", "A"]]));
    ties.extract(&["2020-01-01,record,A,,,crm,2020-01-01,2020-01-01,", &of("B")]);
    ties.run("2020-02-04");
    assert_eq!(ties.of_type("2020-02-04", "record"), pairs(&[["A", "A"], ["B", "B"]]));
    assert_eq!((ties.aliases("2020-02-04").len(), ties.reasons("2020-02-04").len()), (0, 0));
}

#[test]
fn a_salt_that_is_blank_is_refused() {
    let types = "  salt: ${IDENTITY_SALT}\n  types:\n    record: {standalone: true}\n";
    let ties = Ties::new(types, &["2000-01-01,record,7,,,crm,2020-01-01,2020-01-01,"]);
    for blank in ["", " "] {
        let mut command = ties.0.command(&["run", "pipelines/p.yaml", "--as-of", "2021-01-01"]);
        let output = command.env("IDENTITY_SALT", blank).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains("blank-salt"), "{told}");
    }
}

#[test]
fn who_comes_back_takes_nothing_from_who_has_stayed() {
    let types = "  types:\n    record: {standalone: true}\n    phone: {personal: true}\n";
    let rows = ["1", "2"].map(|record| format!("2020-01-01,phone,p,record,{record},crm,2020-01-01,2020-01-01,"));
    let ties = Ties::new(types, &[&rows[0], &rows[1]]);
    ties.run("2020-02-01");
    ties.extract(&[&rows[1]]);
    ties.run("2020-02-02");
    assert_eq!(ties.of_type("2020-02-02", "record"), pairs(&[["2", "1"]]));
    ties.extract(&[&rows[1], "2020-01-01,record,1,,,crm,2020-01-01,2020-01-01,"]);
    for day in ["2020-02-03", "2020-02-04"] {
        ties.run(day);
        assert_eq!(ties.of_type(day, "record"), pairs(&[["1", "1~2"], ["2", "1"]]), "{day}");
    }
    let split = ties.ask("2020-02-03", "conflicts", "select identifier, customer_id, other_customer_id from t where reason = 'split'");
    assert_eq!(split, texts(&[["1", "1~2", "1"]]));
}

#[test]
fn ids_stay_when_types_are_declared_in_another_order_added_or_renamed() {
    let (record, email) = ("    record: {standalone: true}\n", "    email: {standalone: true, personal: true}\n");
    let visitor = "    visitor: {standalone: until_known}\n";
    let rows = [
        "2020-01-01,record,A,email,a,crm,2020-01-01,2020-01-01,",
        "2020-01-01,record,visitor:7,,,crm,2020-01-01,2020-01-01,",
        "2020-01-01,email,s,record,S,crm,2020-01-02,2020-01-02,",
        "2020-01-01,email,s,,,crm,2020-01-01,2020-01-01,",
    ];
    let ties = Ties::new(&format!("  types:\n{record}{email}"), &rows);
    ties.run("2020-02-01");
    let expected = pairs(&[["A", "A"], ["S", &id_of("s")], ["visitor:7", "visitor:7"]]);
    assert_eq!(ties.of_type("2020-02-01", "record"), expected);
    let with_browser = [&rows[..], &["2020-01-01,visitor,7,,,web,2020-01-01,2020-01-01,"]].concat();
    ties.extract(&with_browser);
    for (day, types) in
        [("2020-02-02", [record, email, visitor]), ("2020-02-03", [visitor, email, record]), ("2020-02-04", [email, visitor, record])]
    {
        ties.declare(&format!("  types:\n{}", types.concat()));
        let told = ties.run(day);
        assert_eq!(ties.of_type(day, "record"), expected, "{day}");
        assert_eq!(ties.of_type(day, "visitor"), pairs(&[["7", "visitor:7~2"]]), "{day}");
        assert_eq!((&told["identity"]["merged"], ties.aliases(day).len()), (&0.into(), 0), "{day}");
        let named = told["identity"]["named_by"]
            .as_array()
            .unwrap()
            .iter()
            .map(|by| (by["identifier_type"].as_str().unwrap(), by["customers"].as_u64().unwrap()));
        assert_eq!(named.collect::<std::collections::BTreeMap<_, _>>(), [("record", 2), ("email", 1), ("visitor", 1)].into(), "{day}");
    }
    // A type that is called otherwise gives other identifiers: what else a customer has keeps the id.
    let renamed: Vec<String> = rows.iter().map(|row| row.replace("record", "contact")).collect();
    ties.extract(&renamed.iter().map(String::as_str).collect::<Vec<_>>());
    ties.declare(&format!("  types:\n    contact: {{standalone: true}}\n{email}"));
    ties.run("2020-02-05");
    assert_eq!(ties.of_type("2020-02-05", "contact"), expected);
}

#[test]
fn an_id_that_shows_what_is_personal_now_is_told_no_more() {
    let types =
        |personal: bool| format!("  types:\n    record: {{standalone: true}}\n    email: {{standalone: true, personal: {personal}}}\n");
    let rows = ["2020-01-01,email,s@x.example,,,crm,2020-01-01,2020-01-01,", "2020-01-01,record,1,,,crm,2020-01-01,2020-01-01,"];
    let ties = Ties::new(&types(false), &rows);
    ties.run("2020-02-01");
    assert_eq!(ties.of_type("2020-02-01", "email"), pairs(&[["s@x.example", "email:s@x.example"]]));
    ties.declare(&types(true));
    let told = ties.run("2020-02-02");
    assert!(told["warnings"].to_string().contains("personal") && told["identity"]["withdrawn"] == 1, "{told}");
    for day in ["2020-02-02", "2020-02-03"] {
        ties.run(day);
        assert_eq!(ties.of_type(day, "email"), pairs(&[["s@x.example", &id_of("s@x.example")]]));
        assert_eq!(ties.aliases(day), texts::<3>(&[]));
        for asked in ["s@x.example", "1", "email:s@x.example"] {
            let output = ties.0.segmill(&["explain", "pipelines/p.yaml", "--identity", asked, "--as-of", "2020-02-04", "--format", "json"]);
            assert!(!String::from_utf8_lossy(&output.stdout).contains("s@x"), "{asked}");
        }
    }
}

#[test]
fn an_ownership_whose_beginning_is_not_known_was_before_the_next() {
    let types = "  types:\n    email: {standalone: true, personal: true, transferable: true}\n    phone: {standalone: true, personal: true, transferable: true}\n";
    let rows = ["2020-01-01,email,e,phone,p1,crm,,,2020-02-05", "2020-02-05,email,e,phone,p2,crm,2020-02-05,2020-02-05,"];
    let ties = Ties::new(types, &rows);
    ties.run("2020-02-03");
    let id = ties.of_type("2020-02-03", "phone")[0][1].clone();
    ties.run("2020-02-08");
    let phones = ties.of_type("2020-02-08", "phone");
    assert_eq!(phones[0], ["p1".to_owned(), id.clone()]);
    assert_ne!(phones[1][1], id);
}

#[test]
fn a_publication_that_keeps_no_map_is_told() {
    let types = "  types:\n    record: {standalone: true}\n";
    let ties = Ties::new(types, &["2000-01-01,record,7,,,crm,2020-01-01,2020-01-01,"]);
    ties.run("2021-01-01");
    let mut commit: serde_json::Value = serde_json::from_str(&ties.0.read("out/commits/00000001.json")).unwrap();
    commit.as_object_mut().unwrap().remove("state");
    ties.0.write("out/commits/00000001.json", &commit.to_string());
    let told = ties.run("2021-01-02");
    assert!(told["warnings"].to_string().contains("no map of identifiers"), "{told}");
    assert!(!ties.run("2021-01-03")["warnings"].to_string().contains("map"));
}

#[test]
fn sources_that_the_project_does_not_name_are_told_as_one() {
    let types = "  types:\n    record: {standalone: true}\n";
    let rows: Vec<String> = (0..40).map(|at| format!("2000-01-01,record,{},,,Person {at},2020-01-01,2020-01-01,", at % 20)).collect();
    let ties = Ties::new(types, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    let told = ties.run("2021-01-01")["identity"]["known_from"].to_string();
    assert_eq!(told.matches("unnamed").count() + told.matches("others").count(), 1, "{told}");
    assert!(!told.contains("Person"), "{told}");
}

#[test]
fn a_map_that_somebody_has_changed_or_removed_is_told() {
    let types = "  types:\n    record: {standalone: true}\n";
    let ties = Ties::new(types, &["2000-01-01,record,7,,,crm,2020-01-01,2020-01-01,"]);
    ties.run("2021-01-01");
    let commit: serde_json::Value = serde_json::from_str(&ties.0.read("out/commits/00000001.json")).unwrap();
    let map = format!("out/{}", commit["state"]["identity_map"]["path"].as_str().unwrap());
    let bytes = std::fs::read(ties.0.folder.path().join(&map)).unwrap();
    // Cut off, changed within, and gone.
    let mut changed = bytes.clone();
    changed[4..bytes.len() - 8].fill(7);
    for broken in [Some(&bytes[..bytes.len() - 1]), Some(&changed[..]), None] {
        match broken {
            Some(bytes) => std::fs::write(ties.0.folder.path().join(&map), bytes).unwrap(),
            None => std::fs::remove_file(ties.0.folder.path().join(&map)).unwrap(),
        }
        let output = ties.try_run("2021-01-02");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("damaged-publication") && told.contains("identity_map") && told.contains("--force"), "{told}");
    }
    // What is told to be done about it helps.
    ties.run("2021-01-01");
    ties.run("2021-01-02");
}

#[test]
fn senseless_limits_are_refused_all_at_once() {
    let types = "  types:
    record: {standalone: true, max_per_customer: 0}
    email: {max_customers: 0, valid_days: 0}
    phone: {valid_days: 3000000000}
    card: {valid_days: 40000, blocked: ['*']}
";
    let ties = Ties::new(types, &[]);
    let output = ties.0.segmill(&["validate", "pipelines/p.yaml"]);
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for said in ["max_per_customer", "max_customers: 0", "valid_days: 0", "3000000000", "40000"] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

#[test]
fn a_run_after_another_salt_begins_anew_and_says_so() {
    let types = |salt: &str| {
        format!("  salt: {salt}\n  types:\n    record: {{standalone: true}}\n    email: {{standalone: true, personal: true}}\n")
    };
    let rows = ["2000-01-01,email,ann,,,crm,2020-01-01,2020-01-01,", "2000-01-01,record,7,,,crm,2020-01-01,2020-01-01,"];
    let ties = Ties::new(&types("winter-4711"), &rows);
    let first = ties.run("2021-01-01");
    let id = ties.of_type("2021-01-01", "email")[0][1].clone();
    assert_ne!(id, id_of("ann"));
    ties.run("2021-01-02");
    assert_eq!(ties.of_type("2021-01-02", "email")[0][1], id);
    ties.declare(&types("summer-4712"));
    let told = ties.run("2021-01-03");
    assert!(told["warnings"].to_string().contains("`salt`"), "{told}");
    assert_ne!(ties.of_type("2021-01-03", "email")[0][1], id);
    // A number is what it was, and the secret is nowhere.
    assert_eq!(ties.of_type("2021-01-03", "record"), pairs(&[["7", "7"]]));
    for folder in ["commits", "runs"] {
        for file in walk(&ties.0.folder.path().join("out").join(folder)) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|bytes| bytes == b"winter" || bytes == b"summer"), "{}", file.display());
        }
    }
    assert!(!first.to_string().contains("winter"));
}

#[test]
fn an_earlier_definition_is_evaluated_with_the_salt_that_is_not_kept() {
    let types = "  salt: winter-4711 # winter-4711, not summer
  types:
    email: {standalone: true, personal: true}
    record: {}
segments:
  ties:
    kind: exclusive
    segments:
      - {name: tied, when: identifiers > 1, description: d, action: a, channel: none}
      - {name: others, when: 'true', description: d, action: a, channel: none}
";
    let rows = ["2000-01-01,email,ann,,,crm,2020-01-01,2020-01-01,", "2021-01-01,email,ann,record,9,crm,2021-01-01,2021-01-01,"];
    let ties = Ties::new(types, &rows);
    let changes = "    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}\n";
    let with_changes = ties.0.read("pipelines/p.yaml").replace("  tables:\n", &format!("  tables:\n{changes}"));
    ties.0.write("pipelines/p.yaml", &with_changes);
    ties.run("2021-01-01");
    // An edit that moves nobody, but asks for both definitions to be evaluated. With another salt, nobody would have the same id.
    ties.0.write(
        "sql/customers.sql",
        "-- A customer.\nselect customer_id, count(*) + 0 as identifiers from identity.customers group by customer_id\n",
    );
    ties.run("2021-01-02");
    let moved = ties.ask("2021-01-02", "segment_changes", "select from_segment, to_segment, cause from t");
    assert_eq!(moved, [["others", "tied", "data"].map(str::to_owned).to_vec()]);
    // The project is in no file of the destination with its secret.
    for file in walk(&ties.0.folder.path().join("out")) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"winter"), "{}", file.display());
    }
}

/// The shipped project on extracts that have contacts and messages alone.
struct Shop(tempfile::TempDir);

impl Shop {
    fn with(contacts: &[&str], messages: &str) -> Shop {
        let shop = Shop(tempfile::tempdir().unwrap());
        let write = |path: &str, text: &str| {
            let path = shop.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let sample = package().join("examples/data");
        let header = |file: &str| std::fs::read_to_string(sample.join(file)).unwrap().lines().next().unwrap().to_owned() + "\n";
        let contact = |row: &&str| {
            let (id, day, rest) =
                row.split_once(',').and_then(|(id, rest)| rest.split_once(',').map(|(day, rest)| (id, day, rest))).unwrap();
            format!(
                "{id},{day}T00:00:00Z,{rest},First,Last,1958-01-13,female,low,secondary,,,London,Greater London,United Kingdom,,Y,N,N\n"
            )
        };
        write("crm/contacts.csv", &(header("crm/contacts.csv") + &contacts.iter().map(contact).collect::<String>()));
        write("email/messages.ndjson", messages);
        write("survey/answers.csv", "response_id,responded_at,email,question,answer\n");
        for source in ["orders", "web"] {
            let file = std::fs::read_dir(sample.join(source)).unwrap().next().unwrap().unwrap().path();
            write(&format!("{source}/none.parquet"), "");
            let schema = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap().schema().clone();
            let none = std::fs::File::create(shop.0.path().join(source).join("none.parquet")).unwrap();
            ArrowWriter::try_new(none, schema, None).unwrap().close().unwrap();
        }
        shop
    }

    /// Publishes a day; the ids of its customers, and its aliases.
    fn run(&self, day: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let out = self.0.path().join("out");
        let arguments = ["run", "pipelines/customer_segments.yaml", "--as-of", day, "--destination", out.to_str().unwrap()];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_segmill"))
            .args(arguments)
            .current_dir(package())
            .env("EXTRACTS", self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ask = |table: &str, sql: &str| rows_of_parquet(&[out.join(format!("{table}/as_of={day}/{table}.parquet"))], sql);
        let ids = ask("customers", "select customer_id from t order by 1").concat();
        (ids, ask("identity_aliases", "select alias_id, customer_id, cast(merged_at as varchar) from t order by 1"))
    }
}

#[test]
fn contacts_of_the_shipped_project_keep_their_ids() {
    let contacts = [
        // Three with one phone, of whom two turn out to have one address.
        "1,2011-01-01,a1@mail.example,0044-7700-900999",
        "2,2011-01-01,a2@mail.example,0044-7700-900999",
        "3,2011-01-01,a3@mail.example,0044-7700-900999",
        "1,2011-03-01,ab@mail.example,0044-7700-900999",
        "2,2011-03-01,ab@mail.example,0044-7700-900999",
        // An address that is given up, had by another, and had again.
        "11,2011-01-01,e@mail.example,",
        "11,2011-02-01,old@mail.example,",
        "12,2011-03-01,e@mail.example,",
        "12,2011-04-01,new@mail.example,",
        "11,2011-05-01,e@mail.example,",
        // Two who swap addresses, twice.
        "21,2011-01-01,swap1@mail.example,",
        "22,2011-01-01,swap2@mail.example,",
        "21,2011-02-01,swap2@mail.example,",
        "22,2011-02-01,swap1@mail.example,",
        "21,2011-03-01,swap1@mail.example,",
        "22,2011-03-01,swap2@mail.example,",
        // A subscriber turns out to be a contact, gives the address up, and another takes it.
        "31,2011-02-01,sub@mail.example,",
        "31,2011-11-01,other@mail.example,",
        "32,2011-12-05,sub@mail.example,",
    ];
    let message = r#"{"event_id": 1, "occurred_at": "2011-01-10T10:00:00Z", "message_id": "m", "campaign": "c", "channel": "email", "email": "sub@mail.example", "phone": null, "event": "sent", "bounce_type": null}"#;
    let shop = Shop::with(&contacts, message);
    let subscriber = id_of("sub@mail.example");
    let ids = |more: &[&str]| {
        let mut ids: Vec<String> =
            ["1", "11", "21", "22"].iter().chain(more).map(|id| (*id).to_owned()).chain([subscriber.clone()]).collect();
        ids.sort();
        ids
    };
    assert_eq!(shop.run("2011-02-15"), (ids(&["2", "3"]), texts::<3>(&[])));
    let merged = texts(&[["2", "1", "2011-03-15T00:00:00Z"], ["3", "1", "2011-03-15T00:00:00Z"]]);
    for day in ["2011-03-15", "2011-04-15", "2011-05-15", "2011-11-15"] {
        assert_eq!(shop.run(day), (ids(&["12"]), merged.clone()), "{day}");
    }
    assert_eq!(shop.run("2011-12-10"), (ids(&["12", "32"]), merged));
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn an_explanation_knows_ids_and_aliases_shows_nobody_and_is_short() {
    let types = "  types:\n    record: {standalone: true}\n    email: {personal: true}\n    handle: {personal: true}\n    visitor: {}\n";
    let mut rows: Vec<String> =
        (0..6000).map(|at| format!("2020-01-01,email,e{at}@mail.example,record,{at},crm,2020-01-01,2020-01-01,")).collect();
    rows.extend((0..6000).map(|at| format!("2020-01-02,email,e{at}@mail.example,record,{},crm,2020-01-02,2020-01-02,", at + 1)));
    rows.push("2020-01-01,handle,@ann.smith,record,0,crm,2020-01-01,2020-01-01,".to_owned());
    rows.push("2020-01-01,visitor,v\u{1b}[31m,record,0,Ann Smith,2020-01-01,2020-01-01,".to_owned());
    let ties = Ties::new(types, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    ties.run("2020-01-02");
    ties.run("2020-01-03");
    let explain = |arguments: &[&str]| {
        let asked = [&["explain", "pipelines/p.yaml", "--as-of", "2020-01-04"], arguments].concat();
        let output = ties.0.segmill(&asked);
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for format in ["human", "json"] {
        // As an id that has become an alias, and as an identifier at the far end of a chain.
        for asked in ["17", "5999"] {
            let (code, told) = explain(&["--identity", asked, "--format", format]);
            assert_eq!(code, Some(0), "{told}");
            assert!(told.len() < 60_000 && told.contains("customer"), "{} bytes", told.len());
            let (_, all) = explain(&["--identity", asked, "--format", format, "--limit", "100000"]);
            assert!(all.len() < 12_003 * 400, "{} bytes", all.len());
            // A hundred of 12,003 identifiers are shown, and of 5,999 aliases as many, or ten in a line for people.
            let aliases_left_out = if format == "json" { "5899" } else { "5989" };
            assert!(told.contains("11903") && told.contains(aliases_left_out), "{told}");
        }
        let (_, told) = explain(&["--identity", "0", "--format", format]);
        for blank in ["", " ", "\u{200b}", "\u{3164}"] {
            let (code, told) = explain(&["--identity", blank, "--format", format]);
            assert!(code == Some(2) && told.contains("blank"), "{told}");
        }
        for secret in ["ann", "Ann", "smith", "mail.example", "\u{1b}"] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
        assert!(told.contains("unnamed") && told.contains(if format == "human" { "\\u{1b}" } else { "\\\\u{1b}" }), "{told}");
        let (code, told) = explain(&["--identity", "17", "--type", "mail", "--format", format]);
        assert!(code == Some(2) && told.contains("email"), "{told}");
    }
    let (_, told) = explain(&["--identity", "@ann.smith", "--unmask"]);
    assert!(told.contains("handle @ann.smith") && told.contains("customer 0 as of"), "{told}");
}

/// Models say of which country a number without a country code is, and `explain` takes it from them.
#[test]
fn a_number_is_asked_for_as_people_of_that_country_write_it() {
    let types = "  types:\n    record: {standalone: true}\n    phone: {personal: true}\n";
    let ties = Ties::new(types, &["2000-01-01,record,1,phone,030 901820,crm,2020-01-01,2020-01-01,"]);
    let written = ties.0.read("pipelines/p.yaml");
    for (region, parameters) in
        [("'DE'", ""), ("$country", "parameters:\n  country: {type: string, default: DE, description: Of numbers}\n")]
    {
        ties.0.write("pipelines/p.yaml", &written.replace("sources:\n", &format!("{parameters}sources:\n")));
        ties.0.write("sql/identity/edges.sql", &EDGES.replace("o as other,", &format!("phone_number(o, {region}) as other,")));
        for asked in ["030 901820", "+49 30 901820"] {
            let output = ties.0.segmill(&["explain", "pipelines/p.yaml", "--identity", asked, "--as-of", "2020-09-01"]);
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(told.contains("customer 1 as of"), "{region}, {asked}: {told}");
        }
    }
}

/// The identity step has no SQL: what fails while it reads its edges is told of the model that selects them, and where.
#[test]
fn a_failure_of_the_edges_names_their_model_and_its_place() {
    let types = "  types:\n    record: {standalone: true}\n    phone: {personal: true}\n";
    let ties = Ties::new(types, &["2000-01-01,record,one,phone,x,crm,2020-01-01,2020-01-01,"]);
    ties.0.write("sql/identity/edges.sql", &EDGES.replace("i as identifier,", "cast(cast(i as bigint) as varchar) as identifier,"));
    let output = ties.0.segmill(&["run", "pipelines/p.yaml", "--as-of", "2020-09-01"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("`identity.edges` failed on this data") && told.contains("sql/identity/edges.sql:2:"), "{told}");
}

#[test]
fn a_cycle_through_the_identity_step_has_a_place() {
    let types = "  types:\n    record: {standalone: true}\n    phone: {personal: true}\n";
    let ties = Ties::new(types, &["2000-01-01,record,one,phone,x,crm,2020-01-01,2020-01-01,"]);
    ties.0.write("sql/identity/edges.sql", &format!("{EDGES}where i not in (select identifier from resolved.customers)\n"));
    let output = ties.0.segmill(&["validate", "pipelines/p.yaml"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("identity.edges → identity step → identity.edges") && told.contains("sql/identity/edges.sql:"), "{told}");
}
