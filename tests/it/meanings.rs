use std::sync::Mutex;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use crate::meanings_table::{Cell, Group, expected, objections, project, published, rejects, run};
use crate::support::tell;

/// The most columns of one run.
const COLUMNS_AT_ONCE: usize = 60;

/// Does something for each of some things, on as many threads as there are cores, and gathers what it says.
pub fn on_all_cores<T: Sync>(things: &[T], of_one: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let (next, said) = (Mutex::new(things.iter().enumerate()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((at, thing)) = next.lock().unwrap().next() else { break };
                    let of_one = of_one(thing);
                    said.lock().unwrap().push((at, of_one));
                }
            });
        }
    });
    let mut said = said.into_inner().unwrap();
    said.sort();
    said.into_iter().flat_map(|(_, said)| said).collect()
}

#[test]
fn every_value_is_read_as_the_table_of_meanings_says() {
    let (groups, _) = expected();
    let mut runs: Vec<(&Group, Vec<&Cell>)> = Vec::new();
    for group in &groups {
        let readable: Vec<&Cell> = group.cells.iter().filter(|cell| !cell.refused).collect();
        runs.extend(readable.chunks(COLUMNS_AT_ONCE).map(|cells| (group, cells.to_vec())));
    }
    let cells: usize = runs.iter().map(|(_, cells)| cells.len()).sum();
    tell(&format!("{cells} columns in {} runs", runs.len()));
    assert!(cells > 0);
    let wrong = on_all_cores(&runs, |(group, cells)| objections(group, cells));
    assert!(wrong.is_empty(), "{} columns are not read as the table of meanings says:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_column_that_cannot_be_of_its_type_refuses_the_run_by_name() {
    let (groups, _) = expected();
    let refused: Vec<(&Group, &Cell)> =
        groups.iter().flat_map(|group| group.cells.iter().filter(|cell| cell.refused).map(move |cell| (group, cell))).collect();
    let wrong = on_all_cores(&refused, |(group, cell)| {
        let project = project(group, &[cell], None);
        let (status, told) = run(project.path(), "2026-01-01");
        let text = told.to_string();
        let named = [group.file.as_str(), cell.column.as_str(), cell.declared.as_str()].iter().all(|name| text.contains(name));
        if status == 3 && named {
            return Vec::new();
        }
        vec![format!("{}: exit {status}: {text}", group.title(cell))]
    });
    assert!(wrong.is_empty(), "{} columns do not refuse the run by name:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_event_time_is_out_of_window_before_anything_else_is_said_of_it() {
    let (groups, as_of) = expected();
    let tried: Vec<(&Group, &Cell)> = groups.iter().flat_map(|group| group.event_times.iter().map(move |cell| (group, cell))).collect();
    let wrong = on_all_cores(&tried, |(group, cell)| {
        let wrong = wrong_event_times(group, cell, &as_of);
        if wrong.is_empty() { wrong } else { vec![format!("{} event time\n    {}", group.title(cell), wrong.join("\n    "))] }
    });
    assert!(wrong.is_empty(), "{} columns are wrong as event times:\n{}", wrong.len(), wrong.join("\n"));
}

/// The rows of a group that are not kept, out of window or rejected as expected when a column of it is the event time.
fn wrong_event_times(group: &Group, cell: &Cell, as_of: &str) -> Vec<String> {
    let project = project(group, &[], Some(cell));
    let (status, result) = run(project.path(), as_of);
    if status != 0 {
        return vec![format!("the run ended with {status}: {result}")];
    }
    let rejects = rejects(project.path(), &result, group.first_line());
    let kept: Vec<i64> = published(project.path(), &result, "customers")
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    let rows = group.rows();
    let out_of_window = result["sources"][0]["rows_out_of_window"].as_u64().unwrap();
    let mut wrong = Vec::new();
    if kept.len() + rejects.len() + usize::try_from(out_of_window).unwrap() != rows {
        wrong.push(format!("{} are kept, {} rejected and {out_of_window} out of window, of {rows}", kept.len(), rejects.len()));
    }
    for row in 1..=rows {
        let reason = rejects.get(&(row, None)).map(|reason| format!("!{}", reason.split(' ').next().unwrap()));
        let placed = match reason {
            Some(reason) => reason,
            None if kept.contains(&i64::try_from(row).unwrap()) => "kept".to_owned(),
            None => "out".to_owned(),
        };
        let written = group.columns[&cell.column].written().get(row - 1).cloned();
        // Where a column is shorter than the file, its values are missing.
        let objection = match written {
            Some(_) => cell.objection(row, Some(&placed)),
            None => (placed != "!missing-value").then(|| format!("is missing, and its row is {placed}")),
        };
        wrong.extend(objection.map(|objection| format!("`{}` {objection}", written.flatten().unwrap_or("null".to_owned()))));
    }
    wrong
}
