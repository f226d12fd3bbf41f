//! A server for tests that are not written in Rust: started, killed and stopped
//! by lines on standard input, described by lines of JSON on standard output.
//!
//! `start`, `kill` (SIGKILL), `stop` (SIGTERM) and `link` are the lines; `start`
//! and `link` answer with `{"url", "sign_in_url", "token", "pid"}`, as does the
//! beginning, each time with a fresh link. Arguments such as
//! `SLIPWAY__SERVER__ALLOWED_ORIGINS=*` are settings. When standard input ends, so
//! does everything.

use std::io::{BufRead, Write};

use anyhow::{Result, bail};
use serde_json::json;
use slipway_tests::{Site, Who};

fn main() -> Result<()> {
    let settings: Vec<String> = std::env::args().skip(1).collect();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|setting| setting.split_once('=').unwrap_or((setting, "")))
        .collect();
    let mut site = Site::start_with(&settings)?;
    let who = site.who("dev@example.com", "administrator")?;
    describe(&site, &who)?;
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "start" => {
                site.run()?;
                describe(&site, &who)?;
            }
            "link" => describe(&site, &who)?,
            "kill" => site.kill()?,
            "stop" => drop(site.stop()?),
            other => bail!("unknown line {other:?}; expected start, kill, stop or link"),
        }
    }
    Ok(())
}

fn describe(site: &Site, who: &Who) -> Result<()> {
    let description = json!({
        "url": site.url(),
        "sign_in_url": site.sign_in_url(&who.email)?,
        "token": who.token,
        "pid": site.pid(),
    });
    writeln!(std::io::stdout(), "{description}")?;
    Ok(())
}
