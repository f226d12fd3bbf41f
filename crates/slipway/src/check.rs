//! `slipway check`: could this process do its work here, and what is to be mended?
//!
//! It writes nothing, and looks even at what it would refuse. Its answer is data, on
//! standard output; its exit code is the worst of its lines.

mod findings;

use std::io::Write;

use anyhow::Context;
use serde_json::json;
use slipway_config::{Access, Environ, Settings, approve};

use crate::open::folder;
use findings::{Finding, State};

/// Looks at everything and prints a line for each.
pub(crate) fn run(json: bool) -> anyhow::Result<u8> {
    let findings = findings();
    let worst = findings
        .iter()
        .map(|finding| finding.state)
        .max()
        .unwrap_or(State::Ok);
    let mut out = std::io::stdout().lock();
    let written = if json {
        let checks: Vec<_> = findings.iter().map(Finding::to_json).collect();
        writeln!(
            out,
            "{:#}",
            json!({ "status": worst.as_str(), "checks": checks })
        )
    } else {
        findings
            .iter()
            .try_for_each(|finding| writeln!(out, "{finding}"))
    };
    written.context("writing to standard output")?;
    Ok(worst.exit_code())
}

/// What is known stops where the next thing cannot be asked.
fn findings() -> Vec<Finding> {
    let environ = match Environ::of_process() {
        Ok(environ) => environ,
        Err(error) => return vec![Finding::refused("configuration", error, "unset it")],
    };
    let mut findings = vec![findings::platform(&environ)];
    let settings = match Settings::load(&environ, folder(&environ)) {
        Ok(settings) => settings,
        Err(faults) => {
            findings.extend(faults.0.into_iter().map(|fault| {
                Finding::refused("configuration", fault.0, "see `slipway config explain`")
            }));
            return findings;
        }
    };
    findings.push(findings::configuration(&environ, &settings));
    // What this process would do, decided as if it did.
    match approve(&environ, &settings.database, Access::Write) {
        Ok(approved) => findings.push(Finding::ok(
            "guard",
            format!(
                "{} may be dialled ({})",
                approved.redacted(),
                approved.ruling()
            ),
        )),
        Err(refusal) => findings.push(findings::refusal("guard", &refusal)),
    }
    // And, even if it may not, what there is to see without touching it.
    if let Ok(approved) = approve(&environ, &settings.database, Access::Look) {
        findings.extend(findings::database(&approved, &settings));
    }
    findings.push(findings::storage(&environ, &settings));
    findings
}
