//! `cargo xtask`: the chores of a developer, each one command.
//!
//! This program knows the outside of Slipway only: it builds the binary, runs it and
//! talks to it as any user would. It never links a crate of ours, so it builds in
//! seconds and still works when the product does not compile.

mod arguments;
mod autobahn;
mod bench;
mod browser;
mod bucket;
mod ci;
mod dev;
mod environ;
mod http;
mod layers;
mod postgres;
mod process;
mod say;
mod scene;
mod soak;
mod stop;
mod tally;
mod test;
mod tidy;
mod toolchain;
mod usage;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Request;
use crate::stop::{Stop, Stopped};
use crate::workspace::Workspace;

/// Exit code for a command line that makes no sense (`EX_USAGE`).
const EXIT_USAGE: u8 = 64;
/// Exit code after a stop that was asked for half-way, as a shell reports Ctrl-C.
const EXIT_STOPPED: u8 = 130;

fn main() -> ExitCode {
    let request = match arguments::parse(&environ::arguments()) {
        Ok(request) => request,
        Err(wrong) => {
            say::error(wrong);
            say::note("run `cargo xtask help` for all commands");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match perform(request) {
        Ok(code) => code,
        Err(error) if error.is::<Stopped>() => {
            say::note("stopped");
            ExitCode::from(EXIT_STOPPED)
        }
        Err(error) => {
            say::error(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(request: Request) -> Result<ExitCode> {
    if let Request::Help = request {
        say::out(usage::PAGE.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find()?;
    let held = match request {
        Request::Help => true,
        Request::Dev(options) => return dev::run(&workspace, &options),
        Request::Test(options) => test::run(&workspace, &options, &Stop::listen()?)?,
        Request::Bench { name, case } => {
            let words = name.into_iter().chain(case);
            bench::run(&workspace, &words.collect::<Vec<_>>(), &Stop::listen()?)?
        }
        Request::Soak { campaign } => soak::run(&workspace, campaign.as_deref(), &Stop::listen()?)?,
        Request::Ci => ci::run(&workspace, &Stop::listen()?)?,
        Request::Layers => layers::report(&workspace)?,
        Request::Tidy => tidy::report(&workspace)?,
    };
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
