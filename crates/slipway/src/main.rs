//! The `slipway` binary: reads the command line, wires the layers together, runs.
//!
//! It holds no rule of its own. It is the only place that knows both the database
//! and the live progress, and so the only one that joins them (`pump.rs`).

mod accounts;
mod arguments;
mod explain;
mod lifetime;
mod log;
mod migrate;
mod open;
mod pump;
mod serve;
mod work;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command, ConfigAction};
use crate::open::{Opened, Refused};

/// What the process tells whoever started it, besides 0 for success: it failed,
/// it was refused by the guard or its configuration, it was called wrongly (the
/// last as `EX_USAGE` in sysexits.h).
const FAILED: u8 = 1;
const REFUSED: u8 = 2;
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version arrive as errors too, and are none.
            let wrong = error.use_stderr();
            let _unwritable = error.print();
            return if wrong {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_why(&error);
            let refused = error.downcast_ref::<Refused>().is_some();
            ExitCode::from(if refused { REFUSED } else { FAILED })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        // Explains also what nothing can be opened with.
        Command::Config {
            action: ConfigAction::Explain(asked),
        } => explain::run(&asked),
        Command::Migrate { dry_run: false } => migrate::run(&opened()?),
        Command::Migrate { dry_run: true } => migrate::list(&opened()?),
        Command::Serve => actix_web::rt::System::new().block_on(serve::run(&opened()?)),
        Command::Work => actix_web::rt::System::new().block_on(work::run(&opened()?)),
        Command::Account { action } => {
            actix_web::rt::System::new().block_on(accounts::account(&opened()?, action))
        }
        Command::Token { action } => {
            actix_web::rt::System::new().block_on(accounts::token(&opened()?, action))
        }
    }
}

fn opened() -> Result<Opened, Refused> {
    let opened = open::open()?;
    log::begin(&opened.settings.log);
    Ok(opened)
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command belongs to the person who ran it"
)]
fn say_why(error: &anyhow::Error) {
    eprintln!("slipway: {error:#}");
}
