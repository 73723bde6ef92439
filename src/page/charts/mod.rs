//! Charts, as SVG from templates. Every chart has its numbers in a table, or is drawn inside one.

pub mod bar;
pub mod change;
pub mod flow;
mod flow_layout;
pub mod heat_map;
pub mod sparkline;

/// A coordinate with one digit after the point, without a needless `.0`.
pub fn coordinate(number: f64) -> String {
    let written = format!("{number:.1}");
    match written.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => written,
    }
}
