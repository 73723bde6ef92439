use crate::marks::holds;
use crate::secrets::said_and_left;
use crate::tiny::Tiny;

/// A project with a value at every place where a file may have one, each within `«»`.
const EVERYTHING: &str = "\
version: 1
name: everything
time_zone: «Europe/London»
null_values:
  - «n/a»
parameters:
  edition:
    type: «integer»
    default: «1»
    min: «0»
    description: «x»
reference:
  countries:
    columns:
      code: «string»
      name: string
      size: integer
    rows:
      -
        - «GB»
        - United Kingdom
        - «3»
sources:
  orders:
    description: «Orders»
    location: extracts/*.csv
    format: «csv»
    event_time: «ordered_at»
    key:
      - «order_id»
    unknown_columns: «ignore»
    min_files: «1»
    min_rows: «0»
    reject_budget:
      share: «1»
      rows: «1000»
    freshness:
      newest_row_days: «1000»
    columns:
      order_id:
        type: string
        required: «true»
        from: «order_id»
      customer_id:
        type: string
        required: true
        pattern: «c[0-9]+»
        from:
          - «customer_id»
      ordered_at:
        type: timestamp
        required: true
        min: «2000-01-01»
        max: «2100-01-01»
      amount:
        type: decimal(10,2)
        optional: true
        format: «1,234.56»
        on_error: «null»
      plan:
        type: string
        optional: true
        accepted:
          - «free»
        values:
          gratis: «free»
        consent:
          no:
            - «free»
profile:
  columns:
    orders:
      min: «0»
      max: «1000»
      required: true
    edition:
      accepted:
        - «1»
  always:
    - «orders >= 1»
identity:
  trust:
    - «order»
  types:
    customer:
      standalone: «true»
      personal: «false»
      max_per_customer: «3»
      blocked:
        - «nobody»
segments:
  value:
    kind: «exclusive»
    permissions:
      email: «orders > 0»
    segments:
      -
        name: «buyers»
        when: «orders > 1»
        description: «Came back»
        action: «Thank them»
        channel: «email»
      -
        name: others
        when: 'true'
        description: The rest
        action: None
        channel: none
checks:
  -
    name: «unique»
    severity: «warn»
    unique:
      table: «customers»
      columns:
        - «customer_id»
  -
    name: known
    accepted:
      table: customers
      column: «edition»
      values:
        - «1»
  -
    name: asked
    sql: «select customer_id from customers where orders > 1000»
  -
    name: sizes
    segment_size:
      segment_set: «value»
      segment: «buyers»
      max_share: «1»
  -
    name: steady
    change:
      table: «customers»
      max_fall: «0.1»
outputs:
  destination: out
  tables:
    customers:
      model: «customers»
      sort:
        - «customer_id»
      personal:
        - «email»
    segment_membership:
      model: segment_membership
      sort:
        - segment_set
        - segment
        - customer_id
";

/// What the environment gives for any value of the pipeline file, alone or within a text, is in nothing that is said or left.
#[test]
fn what_a_variable_gives_is_told_as_it_is_typed() {
    let plain = EVERYTHING.replace(['«', '»'], "");
    let tiny = everything(&plain);
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let places: Vec<usize> = EVERYTHING.match_indices('«').map(|(at, _)| at).collect();
    let tried: Vec<(usize, &str)> =
        places.iter().flat_map(|at| ["${PLANTED}", "orders > ${PLANTED}"].map(|written| (*at, written))).collect();
    let share = tried.len().div_ceil(4);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let of_share = |tried: &[(usize, &str)]| tried.iter().filter_map(|(at, written)| leaks_variable(*at, written)).collect::<Vec<_>>();
        let workers: Vec<_> = tried.chunks(share).map(|tried| scope.spawn(move || of_share(tried))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn everything(pipeline: &str) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", pipeline);
    tiny.write("sql/staging/orders.sql", "-- An order.\nselect order_id, customer_id, ordered_at, amount, plan from sources.orders\n");
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\nselect customer_id, count(*) as orders, $edition as edition, max(plan) as email from staging.orders\ncross join (select max(size) as size from reference.countries) as c group by customer_id\n",
    );
    tiny.write(
        "extracts/orders.csv",
        "order_id,customer_id,ordered_at,amount,plan\n1,c1,2026-10-01T10:00:00Z,1.00,free\n2,c1,2026-10-02T10:00:00Z,x,gratis\n",
    );
    tiny
}

fn leaks_variable(at: usize, written: &str) -> Option<String> {
    let end = at + EVERYTHING[at..].find('»').unwrap();
    let changed = format!("{}{written}{}", &EVERYTHING[..at], &EVERYTHING[end + '»'.len_utf8()..]);
    let tiny = everything(&changed.replace(['«', '»'], ""));
    let mut all = String::new();
    for arguments in [
        &["validate", "pipelines/tiny.yaml", "--format", "json"][..],
        &["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--record", "record.json"],
    ] {
        let output = tiny.command(arguments).env("PLANTED", "planted7731").env("SEGMILL_LOG", "trace").output().unwrap();
        if output.status.code() == Some(1) || String::from_utf8_lossy(&output.stderr).contains("panicked") {
            return Some(format!("line {}: {}", EVERYTHING[..at].matches('\n').count() + 1, String::from_utf8_lossy(&output.stderr)));
        }
        all += &said_and_left(&tiny, &output);
    }
    // What is published is what was asked for: the names of segments are values of a table.
    let found = all
        .lines()
        .filter(|line| holds(line, "planted7731").is_some())
        .filter(|line| !line.contains("segment_membership.parquet"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let is_name_of_segment = EVERYTHING[..at].ends_with("name: ") && EVERYTHING[at..].starts_with("«buyers");
    (!found.is_empty() && !is_name_of_segment)
        .then(|| format!("line {} as {written}: {found:#?}", EVERYTHING[..at].matches('\n').count() + 1))
}
