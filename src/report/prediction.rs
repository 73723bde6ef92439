//! What predictions are made with, and how good they are, as lines for people.

use std::fmt::{Result, Write as _};

use indicatif::HumanCount;

use crate::predict::{Calibration, Parameter, Report};

/// The lines of a prediction.
pub(super) fn write(text: &mut String, report: &Report) -> Result {
    let [customers, again] = [report.customers, report.repeat_buyers].map(|count| HumanCount(count).to_string());
    writeln!(text, "\nPrediction {} of {customers} customers, {again} of whom have bought again", report.prediction)?;
    let purchases = &report.purchases;
    writeln!(text, "  {:<10}{}", "purchases", fitted(model(&purchases.used), &purchases.parameters, purchases.log_likelihood))?;
    if let Some(spend) = &report.spend {
        let parameters: &[Parameter] = if spend.used == "gamma_gamma" { &spend.parameters } else { &[] };
        let likelihood = spend.log_likelihood.filter(|_| spend.used == "gamma_gamma");
        writeln!(text, "  {:<10}{}", "spend", fitted(model(&spend.used), parameters, likelihood))?;
    }
    report.calibration.as_ref().map_or(Ok(()), |calibration| write_calibration(text, calibration))
}

/// The name of a model in the literature.
fn model(used: &str) -> &str {
    match used {
        "bg_nbd" => "BG/NBD",
        "mbg_nbd" => "MBG/NBD",
        "nbd" => "NBD, without churn",
        "mean_rate" => "everybody's mean rate",
        "gamma_gamma" => "gamma-gamma",
        "mean" => "mean spend",
        _ => "not predicted",
    }
}

fn fitted(model: &str, parameters: &[Parameter], likelihood: Option<f64>) -> String {
    let parameters = parameters.iter().map(|Parameter { name, value, standard_error }| match standard_error {
        Some(error) => format!("{name} {} ± {}", digits(*value), digits(*error)),
        None => format!("{name} {}", digits(*value)),
    });
    let parameters: Vec<String> = parameters.collect();
    let likelihood = likelihood.map_or_else(String::new, |likelihood| format!(", log likelihood {likelihood:.1}"));
    if parameters.is_empty() { format!("{model}{likelihood}") } else { format!("{model}: {}{likelihood}", parameters.join(", ")) }
}

/// About four digits of a number.
fn digits(number: f64) -> String {
    match number.abs() {
        size if size >= 1000.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.2}"),
        size if size >= 0.01 => format!("{number:.4}"),
        _ => format!("{number:.2e}"),
    }
}

/// What was predicted of the last days, beside what came.
fn write_calibration(text: &mut String, calibration: &Calibration) -> Result {
    let [customers, purchases] = [calibration.customers, calibration.purchases].map(|count| HumanCount(count).to_string());
    writeln!(text, "  last {} days, predicted from those before: {purchases} purchases of {customers} customers", calibration.days)?;
    let percent = |part: Option<f64>| part.map_or_else(|| "·".to_owned(), |part| format!("{:+.1}%", 100.0 * part));
    let share = |part: Option<f64>| part.map_or_else(|| "·".to_owned(), |part| format!("{:.1}%", 100.0 * part));
    if !calibration.predictors.is_empty() {
        writeln!(text, "    {:<24}{:>10}{:>10}{:>26}{:>10}", "", "purchases", "error", "best tenth: share (came)", "rmse")?;
    }
    for predictor in &calibration.predictors {
        let name = match predictor.name.as_str() {
            "model" => "the model",
            "own_mean_rate" => "each one's own mean rate",
            _ => "everybody's mean rate",
        };
        let tenth = format!("{} ({})", share(predictor.top_decile_share), share(predictor.top_decile_actual_share));
        writeln!(
            text,
            "    {name:<24}{:>10.0}{:>10}{tenth:>26}{:>10.3}",
            predictor.purchases,
            percent(predictor.total_error),
            predictor.root_mean_squared_error
        )?;
    }
    Ok(())
}
