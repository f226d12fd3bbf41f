//! The `slipway` binary: reads the command line, wires the layers together, runs.
//!
//! It holds no rule of its own. It is the only place that knows both the database
//! and the live progress, and so the only one that joins them (`pump.rs`).

mod accounts;
mod arguments;
mod check;
mod database;
mod explain;
mod lifetime;
mod log;
mod migrate;
mod open;
mod pump;
mod serve;
mod work;

use std::io::Write;

use anyhow::Context;
use clap::Parser;
use slipway_config::{Access, Refusal};

use crate::arguments::{Arguments, Command, ConfigAction};
use crate::open::{Opened, Refused, told};

/// What the process tells whoever started it, besides 0 for success: it failed,
/// it was refused by the guard or its configuration, it was called wrongly (the
/// last as `EX_USAGE` in sysexits.h).
const DONE: u8 = 0;
const FAILED: u8 = 1;
const REFUSED: u8 = 2;
const USAGE: u8 = 64;

fn main() {
    let code = match Arguments::try_parse() {
        Ok(arguments) => match run(arguments.command) {
            Ok(code) => code,
            Err(error) => {
                say_why(&error);
                if is_refusal(&error) { REFUSED } else { FAILED }
            }
        },
        Err(error) => {
            // Help and version arrive as errors too, and are none.
            let wrong = error.use_stderr();
            let _unwritable = error.print();
            if wrong { USAGE } else { DONE }
        }
    };
    leave(code);
}

/// Ends the process without the handlers that libraries have left for its end: OpenSSL's
/// takes away what a thread of the pool may be using to make a connection just then, and
/// the process would end by a signal instead of with its code.
fn leave(code: u8) -> ! {
    // Whoever read it has gone; there is nobody to tell.
    let _unwritable = std::io::stdout().flush();
    signal_hook::low_level::exit(code.into())
}

fn run(command: Command) -> anyhow::Result<u8> {
    let ended = match command {
        // Says itself how well it all is.
        Command::Check { json } => return check::run(json),
        // Explains also what nothing can be opened with.
        Command::Config {
            action: ConfigAction::Explain(asked),
        } => explain::run(&asked),
        Command::Db { action } => database::run(action),
        Command::Routes => list_routes(),
        Command::Migrate { dry_run: false } => migrate::run(&admitted(Access::Migrate)?),
        Command::Migrate { dry_run: true } => migrate::list(&admitted(Access::Read)?),
        // These come up without their database and wait for it.
        Command::Serve => {
            actix_web::rt::System::new().block_on(serve::run(&opened(Access::Write)?))
        }
        Command::Work => actix_web::rt::System::new().block_on(work::run(&opened(Access::Write)?)),
        Command::Account { action } => {
            let opened = admitted(action.access())?;
            actix_web::rt::System::new().block_on(accounts::account(&opened, action))
        }
        Command::Token { action } => {
            let opened = admitted(action.access())?;
            actix_web::rt::System::new().block_on(accounts::token(&opened, action))
        }
    };
    ended.map(|()| DONE)
}

fn opened(access: Access) -> Result<Opened, Refused> {
    let opened = open::open(access)?;
    log::begin(&opened.settings.log);
    opened.say_what_is_assumed();
    Ok(opened)
}

/// The same, once the database has said what it is.
fn admitted(access: Access) -> anyhow::Result<Opened> {
    let opened = opened(access)?;
    opened.admit().map_err(told)?;
    Ok(opened)
}

/// Needs neither configuration nor database.
fn list_routes() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (method, path, access) in slipway_web::routes() {
        writeln!(out, "{method}\t{path}\t{access}").context("writing to standard output")?;
    }
    Ok(())
}

/// Whether the guard or the configuration said no, here or below.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<Refused>().is_some() || cause.downcast_ref::<Refusal>().is_some()
    })
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command belongs to the person who ran it"
)]
fn say_why(error: &anyhow::Error) {
    eprintln!("slipway: {error:#}");
}
