//! The layers of the configuration, each read by itself: built-in defaults,
//! `config/default.toml`, `config/<environment>.toml`, what platforms call by a
//! name of their own, `SLIPWAY__SECTION__KEY`.
//!
//! It never drops a value that another one wins over, and never shows one that is
//! not as it must be: it could be a secret in the wrong place.

mod file;

use std::fmt;
use std::path::Path;

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use crate::known::{KEYS, Key, Kind, is_section, nearest};
use crate::{Environ, Environment, Fault};

/// The innermost layer, so that a binary without its `config/` folder still
/// starts, with the strictest choice of everything.
const BUILT_IN: &str = include_str!("built_in.toml");

/// What platforms call by a name of their own; `SLIPWAY__SERVER__PORT` still
/// wins over `PORT`.
const NAMED: [(&str, &str); 3] = [
    ("PORT", "server.port"),
    ("WEB_CONCURRENCY", "server.workers"),
    ("RUST_LOG", "log.filter"),
];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The binary itself.
    BuiltIn,
    /// A file of the configuration.
    File {
        /// Its path, as seen from where the process starts.
        path: String,
        /// The line, counted from one.
        line: usize,
    },
    /// The environment variable of this name.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One value that one layer gives to one key.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) key: &'static Key,
    pub(crate) origin: Origin,
    /// `None` if it is not as it must be.
    pub(crate) value: Option<ValueKind>,
}

/// Without the value: a text may be anything.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.key.name, self.origin)
    }
}

/// All layers, the innermost first, and all that is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    layers: Vec<Layer>,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Debug, Clone, Default)]
struct Layer(Vec<Given>);

impl Layers {
    /// Reads them all. Without an environment its file is left out, so that the
    /// faults of the others are told all the same.
    pub(crate) fn read(environ: &Environ, folder: &Path, environment: Option<Environment>) -> Self {
        let mut layers = Self::default();
        let built_in = file::entries_in(BUILT_IN, Path::new("built-in"));
        layers.add_entries(built_in, |_| Origin::BuiltIn);
        let names = ["default"].into_iter();
        for name in names.chain(environment.map(Environment::as_str)) {
            let path = folder.join(format!("{name}.toml"));
            layers.add_entries(file::entries_of(&path), |line| Origin::File {
                path: path.display().to_string(),
                line,
            });
        }
        layers.add_named(environ);
        layers.add_variables(environ);
        layers
    }

    /// All that is given to a key, the innermost first.
    pub(crate) fn stack(&self, key: &Key) -> Vec<&Given> {
        let given = self.layers.iter().flat_map(|layer| &layer.0);
        given.filter(|given| given.key.name == key.name).collect()
    }

    /// Each key with its outermost usable value.
    ///
    /// # Errors
    /// As of the `config` crate, which merges them.
    pub(crate) fn merged(&self) -> Result<Config, ConfigError> {
        let builder = self
            .layers
            .iter()
            .fold(Config::builder(), |builder, layer| {
                builder.add_source(layer.clone())
            });
        builder.build()
    }

    fn add_entries(
        &mut self,
        entries: Result<Vec<file::Entry>, Vec<Fault>>,
        origin: impl Fn(usize) -> Origin,
    ) {
        let mut layer = Layer::default();
        match entries {
            Err(faults) => self.faults.extend(faults),
            Ok(entries) => {
                for entry in entries {
                    let origin = origin(entry.line);
                    match Key::called(&entry.key) {
                        Some(key) => self.give(&mut layer, key, origin, &entry.value),
                        None => self.faults.extend(unknown(&entry, &origin)),
                    }
                }
            }
        }
        self.layers.push(layer);
    }

    fn add_named(&mut self, environ: &Environ) {
        let mut layer = Layer::default();
        for (name, key) in NAMED {
            if let (Some(text), Some(key)) = (environ.get(name), Key::called(key)) {
                let origin = Origin::Variable(name.to_owned());
                self.give(&mut layer, key, origin, &ValueKind::from(text));
            }
        }
        self.layers.push(layer);
    }

    fn add_variables(&mut self, environ: &Environ) {
        let mut layer = Layer::default();
        for (name, value) in environ.beginning_with("SLIPWAY_") {
            // Two underscores anywhere mean a setting; a name with single ones,
            // such as SLIPWAY_ENV, is somebody else's to read.
            let setting = name["SLIPWAY".len()..].contains("__");
            if !setting || value.is_empty() {
                continue;
            }
            match Key::of_variable(name) {
                Some(key) if matches!(key.kind, Kind::FileText) => {
                    self.faults.push(Fault(format!(
                        "{name} is set, but only a file of the configuration may say {}",
                        key.name
                    )));
                }
                Some(key) => {
                    let origin = Origin::Variable(name.to_owned());
                    self.give(&mut layer, key, origin, &ValueKind::from(value));
                }
                None => {
                    let candidates = KEYS.iter().map(Key::variable);
                    let meant = nearest(&name.to_uppercase(), candidates);
                    self.faults.push(Fault(format!(
                        "the variable {name} sets no key that there is{}",
                        suggestion(meant)
                    )));
                }
            }
        }
        self.layers.push(layer);
    }

    fn give(&mut self, layer: &mut Layer, key: &'static Key, origin: Origin, raw: &ValueKind) {
        let value = key.kind.read(raw);
        if value.is_none() {
            let place = match &origin {
                Origin::Variable(name) if key.variable() == *name => name.clone(),
                Origin::Variable(name) => format!("{name}, which sets {},", key.name),
                origin => format!("{} in {origin}", key.name),
            };
            let expected = key.kind.expected();
            self.faults
                .push(Fault(format!("{place} must be {expected}")));
        }
        layer.0.push(Given { key, origin, value });
    }
}

/// What is wrong with a key that is not in the table; nothing if it is a section
/// that stands there for its comments.
fn unknown(entry: &file::Entry, origin: &Origin) -> Option<Fault> {
    let name = &entry.key;
    if is_section(name) {
        let fault = || Fault(format!("{name} in {origin} must be a section, as [{name}]"));
        return (!entry.empty_section).then(fault);
    }
    let candidates = KEYS.iter().map(|key| key.name.to_owned());
    let meant = nearest(name, candidates).or_else(|| {
        let sections = KEYS.iter().filter_map(|key| key.name.split('.').next());
        nearest(name, sections.map(str::to_owned))
    });
    Some(Fault(format!(
        "{name} in {origin} is no key that there is{}",
        suggestion(meant)
    )))
}

fn suggestion(meant: Option<String>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"))
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let usable = self.0.iter().filter_map(|given| {
            let value = Value::new(Some(&given.origin.to_string()), given.value.clone()?);
            Some((given.key.name.to_owned(), value))
        });
        Ok(usable.collect())
    }
}

#[cfg(test)]
mod tests;
