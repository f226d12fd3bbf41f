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

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        None | Some("uploads") => {
            let held = report::conclude("uploads", &uploads::measure()?)?;
            ensure!(held, "a bar was not held");
            Ok(())
        }
        Some(other) => bail!("there is no bench {other:?}; there is: uploads"),
    }
}
