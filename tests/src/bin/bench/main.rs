//! `cargo xtask bench uploads`: what Slipway makes of the machine, beside references
//! that run on it in the same minutes. Prints a table and writes
//! `target/bench/uploads.json`.
//!
//! It never compares with a figure from another machine, but for those of other servers
//! that are named as such; and every file it counts was found stored, with its hash.

mod gauge;
mod load;
mod report;
mod uploads;

use anyhow::{Result, bail, ensure};

use crate::report::Report;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        None | Some("uploads") => {
            let mut cases = Report::of(words.next());
            uploads::measure(&mut cases)?;
            let held = report::conclude("uploads", &cases)?;
            ensure!(held, "a bar was not held");
            Ok(())
        }
        Some(other) => bail!("there is no bench {other:?}; there is: uploads"),
    }
}
