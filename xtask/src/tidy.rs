//! `cargo xtask tidy`: house rules that neither the compiler nor clippy knows.
//!
//! Looks at every file that git tracks or would track. Each rule is a pure function
//! from a text to findings; this file collects and prints. It changes nothing.

mod migrations;
mod rust;
mod text;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output;
use crate::say;
use crate::workspace::Workspace;

/// Something that breaks a house rule.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file as the rules see it.
struct Source {
    path: String,
    text: String,
}

#[cfg(test)]
impl Source {
    fn of(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// Prints every finding; true when there is none.
pub(crate) fn report(workspace: &Workspace) -> Result<bool> {
    let sources = sources(&workspace.root)?;
    let mut found: Vec<Finding> = sources.iter().flat_map(in_file).collect();
    found.extend(migrations::check(&sources));
    found.iter().for_each(say::out);
    if found.is_empty() {
        say::note(format_args!(
            "tidy: {} files, nothing to say",
            sources.len()
        ));
    }
    Ok(found.is_empty())
}

fn in_file(source: &Source) -> Vec<Finding> {
    let mut found = text::check(source);
    if source.path.ends_with(".rs") {
        found.extend(rust::check(source));
    }
    found
}

/// Every text file of the project; binary ones have no rules.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut list = Command::new("git");
    list.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ])
    .current_dir(root);
    let list = output(&mut list).context("listing the files of the project")?;
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut sources = Vec::new();
    for path in paths {
        let file = root.join(path);
        // A link is judged where it points to; a file may be gone before git knows.
        if !fs::symlink_metadata(&file).is_ok_and(|found| found.is_file()) {
            continue;
        }
        let bytes = fs::read(&file).with_context(|| format!("reading {path}"))?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            sources.push(Source {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(sources)
}
