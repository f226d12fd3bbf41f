//! `cargo xtask bench [uploads|live]`: what Slipway makes of the machine, beside
//! references that run on it in the same minutes. Prints a table and writes
//! `target/bench/NAME.json`.
//!
//! It never compares with a figure from another machine, but for those of other servers
//! that are named as such; and every file it counts was found stored, with its hash.

mod gauge;
mod live;
mod load;
mod report;
mod uploads;
mod watchers;

use anyhow::{Result, bail, ensure};

use crate::report::Report;

/// Every bench, in the order in which all are run.
const BENCHES: [&str; 2] = ["uploads", "live"];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (wanted, only) = (words.next(), words.next());
    let wanted = wanted.as_deref();
    if let Some(unknown) = wanted.filter(|name| !BENCHES.contains(name)) {
        let known = BENCHES.join(", ");
        bail!("there is no bench {unknown:?}; there are: {known}");
    }
    let mut held = true;
    for name in BENCHES {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut cases = Report::of(only.clone());
        match name {
            "live" => live::measure(&mut cases)?,
            _ => uploads::measure(&mut cases)?,
        }
        held &= report::conclude(name, &cases)?;
    }
    ensure!(held, "a bar was not held");
    Ok(())
}
