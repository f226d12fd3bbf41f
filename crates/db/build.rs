//! Lists the migrations' texts for `src/migrate/files.rs`, and has them compiled in
//! again when one is added: watching only the files that were there the last time
//! would miss a new folder.
//!
//! It never reads a text: the compiler does, so what is compared is what runs.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

#[expect(
    clippy::disallowed_methods,
    reason = "this is how cargo speaks to a build script"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../../migrations");
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../migrations");
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.path().join("up.sql").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut list = String::from("&[\n");
    for name in names {
        let text = folder.join(&name).join("up.sql");
        writeln!(list, "    ({name:?}, include_str!({text:?})),")?;
    }
    list.push_str("]\n");
    let to = Path::new(&std::env::var("OUT_DIR")?).join("migration_texts.rs");
    std::fs::write(to, list)?;
    Ok(())
}
