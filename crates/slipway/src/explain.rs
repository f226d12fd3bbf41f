//! `slipway config explain`: what this process would read, and from where.
//!
//! It never opens anything but the files of the configuration, and its answer is
//! data: faults are part of it, on standard output like the rest.

use std::fmt::Display;
use std::io::Write;

use anyhow::Context;
use serde_json::{Value, json};
use slipway_config::{Environ, Explanation, Fault, Origin, Reasoning, Setting, Shown};

use crate::arguments::ExplainArguments;
use crate::open::{Refused, folder};

/// Prints the keys, or why the environment is what it is.
///
/// Refused once all is printed if a process with this configuration would be.
pub(crate) fn run(asked: &ExplainArguments) -> anyhow::Result<()> {
    let environ = Environ::of_process().map_err(|error| Refused(error.to_string()))?;
    if asked.why_environment {
        let reasoning = Reasoning::of(&environ);
        say(asked, &reasoning, reasons)?;
        if reasoning.environment.is_err() {
            return Err(Refused("there is no environment to run in".to_owned()).into());
        }
        return Ok(());
    }
    let explanation = Explanation::of(&environ, folder(&environ));
    say(asked, &explanation, explained)?;
    match explanation.faults.len() {
        0 => Ok(()),
        // Each was told above; once is enough.
        count => Err(Refused(format!(
            "the configuration cannot be used, for {count} reasons listed as its faults"
        ))
        .into()),
    }
}

fn say<T: Display>(
    asked: &ExplainArguments,
    answer: &T,
    to_json: fn(&T) -> Value,
) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let written = if asked.json {
        writeln!(stdout, "{:#}", to_json(answer))
    } else {
        write!(stdout, "{answer}")
    };
    written
        .and_then(|()| stdout.flush())
        .context("writing to standard output")
}

fn explained(explanation: &Explanation) -> Value {
    let setting = |Setting { key, given }: &Setting| {
        let mut given = given.iter().map(|(shown, origin)| value(shown, origin));
        let winner = given.next();
        json!({ "key": key, "winner": winner, "shadowed": given.collect::<Vec<_>>() })
    };
    let faults = explanation.faults.iter().map(|Fault(fault)| fault);
    json!({
        "settings": explanation.settings.iter().map(setting).collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
    })
}

/// A value beside its origin. Exactly one of `value`, `redacted` and `unusable` is
/// there, so that a script cannot take the one for the other.
fn value(shown: &Shown, origin: &Origin) -> Value {
    let origin = match origin {
        Origin::BuiltIn => json!({ "kind": "built-in" }),
        Origin::File { path, line } => json!({ "kind": "file", "path": path, "line": line }),
        Origin::Variable(name) => json!({ "kind": "variable", "name": name }),
    };
    match shown {
        Shown::Number(number) => json!({ "value": number, "origin": origin }),
        Shown::Flag(flag) => json!({ "value": flag, "origin": origin }),
        Shown::Text(text) => json!({ "value": text, "origin": origin }),
        Shown::Redacted { bytes, fingerprint } => json!({
            "redacted": { "bytes": bytes, "fingerprint": fingerprint },
            "origin": origin,
        }),
        Shown::Unusable => json!({ "unusable": true, "origin": origin }),
    }
}

fn reasons(reasoning: &Reasoning) -> Value {
    let seen = |name: &str, seen: &str| json!({ "name": name, "seen": seen });
    let declared = reasoning.declared.iter();
    let evidence = reasoning.evidence.iter();
    json!({
        "declared": declared.map(|(name, word)| seen(name, word)).collect::<Vec<_>>(),
        "evidence": evidence.map(|one| seen(one.name, one.seen)).collect::<Vec<_>>(),
        "platform": {
            "name": reasoning.platform.to_string(),
            "proven": reasoning.platform.is_proven(),
        },
        "environment": reasoning.environment.as_ref().ok().map(|known| known.as_str()),
        "guard": {
            "rule": reasoning.ruling.rule,
            "evidence": reasoning.ruling.evidence,
            "reason": reasoning.ruling.reason,
            "remedy": reasoning.ruling.remedy,
        },
        "follows": reasoning.follows,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SECRET: &str = "canary-canary-canary-canary-canary";

    fn answer(pairs: [(&str, &str); 4]) -> Value {
        explained(&Explanation::of(&pairs.into(), Path::new("/nonexistent")))
    }

    fn setting<'a>(answer: &'a Value, key: &str) -> &'a Value {
        let settings = answer["settings"].as_array().unwrap();
        settings
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap()
    }

    #[test]
    fn values_keep_their_types_and_origins_are_taken_apart() {
        let answer = answer([
            ("SLIPWAY_ENV", "test"),
            ("SESSION_SECRET", SECRET),
            ("PORT", "4003"),
            ("METRICS_TOKEN", "canary"),
        ]);

        assert_eq!(
            setting(&answer, "server.port"),
            &json!({
                "key": "server.port",
                "winner": { "value": 4003, "origin": { "kind": "variable", "name": "PORT" } },
                "shadowed": [{ "value": 8080, "origin": { "kind": "built-in" } }],
            })
        );
        assert_eq!(setting(&answer, "jobs.inline")["winner"]["value"], true);
        let token = &setting(&answer, "METRICS_TOKEN")["winner"]["redacted"];
        assert_eq!(token["bytes"], 6);
        assert_eq!(token["fingerprint"].as_str().map(str::len), Some(8));
        assert_eq!(answer["faults"], json!([]));
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }

    #[test]
    fn what_cannot_be_used_is_told_without_its_value() {
        let answer = answer([
            ("SLIPWAY_ENV", "canary"),
            ("SESSION_SECRET", "canary"),
            ("PORT", "canary"),
            ("SLIPWAY__SERVR__PORT", "canary"),
        ]);

        assert_eq!(answer["faults"].as_array().map(Vec::len), Some(4));
        assert_eq!(setting(&answer, "server.port")["winner"]["unusable"], true);
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }

    #[test]
    fn reasons_name_the_environment_or_the_fault() {
        let known = reasons(&Reasoning::of(&[("APP_ENV", "staging")].into()));
        assert_eq!(known["environment"], "staging");
        assert_eq!(known["guard"]["rule"], "A9");

        let unknown = reasons(&Reasoning::of(&[("APP_ENV", "canary")].into()));
        assert_eq!(unknown["environment"], Value::Null);
        assert_eq!(unknown["guard"]["rule"], "A1");
        assert!(!unknown.to_string().contains("canary"), "{unknown}");
    }
}
