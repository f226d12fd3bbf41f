//! Which values a process has, where each comes from, and what it wins over.
//!
//! It needs no sound configuration and no database. It never shows a secret, and
//! no value that is not as it must be.

use std::fmt;
use std::path::Path;

use config::ValueKind;

use crate::known::KEYS;
use crate::layers::{Given, Layers};
use crate::secrets::{Fingerprints, session_secret, set_in};
use crate::{Environ, Environment, Fault, Origin, Settings, environment};

/// All keys with their origins, and all that is wrong.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The environment, every key, and the secrets that are set.
    pub settings: Vec<Setting>,
    /// What keeps a process from starting; empty if nothing does.
    pub faults: Vec<Fault>,
}

/// One key and all that is given to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, or the variable if it is known by that alone.
    pub key: String,
    /// What is given to it, the winning value first.
    pub given: Vec<(Shown, Origin)>,
}

/// A value as people and scripts may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(String),
    /// A secret.
    Redacted {
        /// How long it is.
        bytes: usize,
        /// What two processes with the same `SESSION_SECRET` compare it by; absent
        /// without a usable one.
        fingerprint: Option<String>,
    },
    /// Not as it must be; a fault says why.
    Unusable,
}

impl Explanation {
    /// Explains what a process with these variables and this folder would read.
    /// What is wrong is part of the answer.
    pub fn of(environ: &Environ, folder: &Path) -> Self {
        let environment = environment(environ).ok();
        let layers = Layers::read(environ, folder, environment);
        let faults = match Settings::from_layers(environ, &layers) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.0,
        };
        let keys = KEYS.iter().map(|key| Setting {
            key: key.name.to_owned(),
            given: layers.stack(key).into_iter().rev().map(given).collect(),
        });
        let mut settings: Vec<Setting> = declaration(environ, environment).into_iter().collect();
        settings.extend(keys);
        settings.extend(secrets(environ));
        Self { settings, faults }
    }
}

fn declaration(environ: &Environ, environment: Option<Environment>) -> Option<Setting> {
    let shown = || environment.map_or(Shown::Unusable, |known| Shown::Text(known.to_string()));
    let given: Vec<_> = Environment::NAMES
        .into_iter()
        .filter(|name| environ.get(name).is_some())
        .map(|name| (shown(), Origin::Variable(name.to_owned())))
        .collect();
    (!given.is_empty()).then(|| Setting {
        key: "environment".to_owned(),
        given,
    })
}

fn given(given: &Given) -> (Shown, Origin) {
    let shown = match &given.value {
        Some(ValueKind::I64(number)) => Shown::Number(*number),
        Some(ValueKind::Boolean(flag)) => Shown::Flag(*flag),
        Some(ValueKind::String(text)) => Shown::Text(text.clone()),
        _ => Shown::Unusable,
    };
    (shown, given.origin.clone())
}

fn secrets(environ: &Environ) -> impl Iterator<Item = Setting> {
    // A fingerprint under a short key would help to guess the key.
    let secret = session_secret(environ, false).ok();
    let fingerprints = secret.as_ref().map(Fingerprints::new);
    set_in(environ).map(move |(name, secret)| {
        let shown = Shown::Redacted {
            bytes: secret.len(),
            fingerprint: fingerprints.as_ref().map(|made| made.of(secret)),
        };
        Setting {
            key: name.to_owned(),
            given: vec![(shown, Origin::Variable(name.to_owned()))],
        }
    })
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            // Quoted, so that a text with a line break stays on its line.
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Redacted {
                bytes,
                fingerprint: Some(fingerprint),
            } => write!(f, "[redacted, {bytes} bytes, fingerprint {fingerprint}]"),
            Self::Redacted { bytes, .. } => write!(f, "[redacted, {bytes} bytes]"),
            Self::Unusable => f.write_str("[unusable]"),
        }
    }
}

/// One line a key, and below it, indented, what its value wins over.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { key, given } in &self.settings {
            let mut given = given.iter();
            if let Some((shown, origin)) = given.next() {
                writeln!(f, "{key} = {shown} ({origin})")?;
            }
            for (shown, origin) in given {
                writeln!(f, "    shadows {shown} ({origin})")?;
            }
        }
        if !self.faults.is_empty() {
            writeln!(f, "\nfaults:")?;
        }
        for Fault(fault) in &self.faults {
            writeln!(f, "  - {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
