//! `slipway db stamp` and `slipway db adopt`.
//!
//! What a script reads stands on standard output; the conversation with a person is on
//! the terminal. Nothing is adopted without a terminal and a typed phrase.

use std::io::{BufRead, IsTerminal, Read, Write};

use anyhow::Context;
use slipway_config::{Access, Admission, Adoption, Environment, Found, Refusal, StampSeen};
use slipway_db::AdoptError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::DbAction;
use crate::log;
use crate::open::{Opened, Refused, open, told};

/// Longest line that is read as a phrase.
const PHRASE_BYTES_MAX: u64 = 512;

/// Runs `slipway db ...`.
pub(crate) fn run(action: DbAction) -> anyhow::Result<()> {
    let access = match action {
        DbAction::Stamp => Access::Look,
        DbAction::Adopt { .. } => Access::Restamp,
    };
    let opened = open(access)?;
    log::begin(&opened.settings.log);
    let found = slipway_db::look(&opened.database)
        .map_err(told)
        .with_context(|| format!("looking at {}", opened.database.redacted()))?;
    match action {
        DbAction::Stamp => show(&opened, &found),
        DbAction::Adopt { environment } => adopt(&opened, &found, environment),
    }
}

/// Prints what the database says of itself: one fact a line, name, tab, value.
fn show(opened: &Opened, found: &Found) -> anyhow::Result<()> {
    let mut facts = vec![("database", found.here.to_string())];
    match &found.stamp {
        StampSeen::Is(stamp) => {
            facts.push(("environment", stamp.environment.to_string()));
            let app = stamp.app_id.map(|id| id.to_string());
            facts.push(("app", app.unwrap_or_else(|| "none".to_owned())));
            facts.push(("stamped for", stamp.identity.to_string()));
            let at = stamp.stamped_at.format(&Rfc3339);
            facts.push(("stamped at", at.context("showing a time")?));
            facts.push(("stamped by", stamp.stamped_by.clone()));
        }
        StampSeen::Empty => facts.push(("stamp", "none, the database is empty".to_owned())),
        StampSeen::Unstamped => facts.push(("stamp", "none, though there are tables".to_owned())),
        StampSeen::Unreadable(why) => facts.push(("stamp", format!("unreadable: {why}"))),
    }
    let marker = found.marker.clone();
    facts.push(("comment", marker.unwrap_or_else(|| "none".to_owned())));
    for access in [Access::Read, Access::Write, Access::Migrate] {
        let verdict = verdict(opened.database.admit_to(access, found));
        facts.push((access.as_str(), verdict));
    }
    let mut out = std::io::stdout().lock();
    for (name, value) in facts {
        writeln!(out, "{name}\t{value}").context("writing to standard output")?;
    }
    Ok(())
}

fn verdict(admitted: Result<Admission, Refusal>) -> String {
    match admitted {
        Ok(Admission {
            warning: Some(warning),
            ..
        }) => format!("allowed, but {warning}"),
        Ok(_) => "allowed".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

fn adopt(opened: &Opened, found: &Found, environment: Environment) -> anyhow::Result<()> {
    let ours = opened.database.environment();
    if environment != ours {
        let sentence = format!(
            "this process is {ours}, and makes nothing {environment}; run it where SLIPWAY_ENV says so"
        );
        return Err(Refused(sentence).into());
    }
    opened.database.admit(found)?;
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let sentence = "an adoption is typed by a person: run it in a terminal";
        return Err(Refused(sentence.to_owned()).into());
    }
    let asked = Adoption::at(OffsetDateTime::now_utc(), found, environment);
    ask(&format!(
        "{} becomes the {environment} database of this app. Sessions, sign-in links and tokens in it are \
         deleted, waiting and running jobs cancelled; accounts, files and tables stay.\n\
         Type {} to go on: ",
        found.here, asked.phrase
    ))?;
    let mut typed = String::new();
    stdin
        .lock()
        .take(PHRASE_BYTES_MAX)
        .read_line(&mut typed)
        .context("reading what was typed")?;
    if !asked.is_confirmed(typed.trim(), OffsetDateTime::now_utc(), found) {
        let sentence = "that is not what was to be typed, or it came too late; nothing was changed";
        return Err(Refused(sentence.to_owned()).into());
    }
    let scrubbed = slipway_db::adopt(&opened.database, found).map_err(|error| match error {
        AdoptError::Connect(error) => told(error),
        error => error.into(),
    })?;
    tracing::warn!(
        sessions = scrubbed.sessions,
        links = scrubbed.links,
        tokens = scrubbed.tokens,
        jobs = scrubbed.jobs,
        "adopted {} as {environment}; deleted {} sessions, {} links and {} tokens, cancelled {} jobs",
        found.here.name,
        scrubbed.sessions,
        scrubbed.links,
        scrubbed.tokens,
        scrubbed.jobs
    );
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "a question belongs to the person at the terminal"
)]
fn ask(question: &str) -> anyhow::Result<()> {
    eprint!("{question}");
    std::io::stderr().flush().context("asking")
}
