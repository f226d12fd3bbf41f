//! The outcome of a bench: a table for people, JSON for machines.
//!
//! It never rounds before it compares.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Value, json};

/// One line of the outcome.
pub(crate) struct Case {
    /// What was done.
    pub(crate) name: String,
    /// What was measured: name, value, unit.
    pub(crate) figures: Vec<(&'static str, f64, &'static str)>,
    /// What it is compared with.
    pub(crate) reference: String,
    /// How it compares: measured through reference.
    pub(crate) ratio: Option<f64>,
    /// What was promised.
    pub(crate) bar: String,
    /// Whether that was kept; `None` where nothing was.
    pub(crate) holds: Option<bool>,
}

impl Case {
    fn to_json(&self) -> Value {
        let figures: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .map(|(name, value, unit)| ((*name).to_owned(), json!({"value": value, "unit": unit})))
            .collect();
        json!({
            "case": self.name, "figures": figures, "reference": self.reference,
            "ratio": self.ratio, "bar": self.bar, "holds": self.holds,
        })
    }
}

/// The lines so far.
#[derive(Default)]
pub(crate) struct Report {
    cases: Vec<Case>,
    only: Option<String>,
}

impl Report {
    /// Of the cases whose names contain this, or of all.
    pub(crate) fn of(only: Option<String>) -> Self {
        Self {
            cases: Vec::new(),
            only,
        }
    }

    /// Whether a case is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// Takes and prints one line, so that what was measured is seen whatever follows.
    #[expect(clippy::print_stdout, reason = "the table is what it is run for")]
    pub(crate) fn push(&mut self, case: Case) {
        let figures: Vec<String> = case
            .figures
            .iter()
            .map(|(name, value, unit)| format!("{name} {value:.2} {unit}"))
            .collect();
        let ratio = case.ratio.map(|ratio| format!("{ratio:.2} of "));
        let verdict = match case.holds {
            Some(true) => "holds",
            Some(false) => "DOES NOT HOLD",
            None => "no bar",
        };
        println!("{}\n    {}", case.name, figures.join(", "));
        let ratio = ratio.unwrap_or_default();
        println!("    {ratio}{}; {}: {verdict}", case.reference, case.bar);
        self.cases.push(case);
    }
}

/// Writes the JSON, if everything was measured; whether every bar was held.
pub(crate) fn conclude(name: &str, report: &Report) -> Result<bool> {
    let cases = &report.cases;
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let cases_json: Vec<Value> = cases.iter().map(Case::to_json).collect();
    let json = json!({"name": name, "at": at, "cases": cases_json});
    let holds = report.cases.iter().all(|case| case.holds != Some(false));
    if report.only.is_some() {
        // Some cases are not the report that others compare with.
        return Ok(holds);
    }
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.json")), format!("{json:#}\n"))?;
    Ok(holds)
}

/// Where reports go: `cargo xtask bench` names the folder, because cargo may have been
/// told to build elsewhere.
#[expect(
    clippy::disallowed_methods,
    reason = "a test program has no configuration to read"
)]
fn folder() -> PathBuf {
    std::env::var_os("SLIPWAY_BENCH_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench"),
        PathBuf::from,
    )
}
