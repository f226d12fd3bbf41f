//! Embeds the browser's files: each as it is and compressed, all under one
//! fingerprint, so that a page never mixes the modules of two releases.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=assets");
    println!("cargo::rerun-if-changed=templates");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("assets");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Outcome<_>>()?;
    files.sort();
    let mut table = String::from("pub(crate) const ASSETS: &[Asset] = &[\n");
    let mut all = Sha256::new();
    for file in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or("a name that is not UTF-8")?;
        let bytes = fs::read(&file)?;
        all.update(name);
        all.update(&bytes);
        let zipped = out.join(format!("{name}.gz"));
        fs::write(&zipped, gzip(&bytes)?)?;
        writeln!(
            table,
            "    Asset {{ name: {name:?}, media_type: {:?}, plain: include_bytes!({file:?}), gzip: include_bytes!({zipped:?}) }},",
            media_type(&file)?,
        )?;
    }
    table.push_str("];\n");
    let mut fingerprint = String::new();
    for byte in all.finalize().iter().take(6) {
        write!(fingerprint, "{byte:02x}")?;
    }
    writeln!(
        table,
        "pub(crate) const FOLDER: &str = \"/assets/{fingerprint}\";"
    )?;
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is how cargo speaks to a build script"
)]
fn variable(name: &str) -> Outcome<String> {
    Ok(std::env::var(name)?)
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// An ending that is not listed fails the build: what a browser is served has a
/// type that somebody chose.
fn media_type(file: &Path) -> Outcome<&'static str> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        _ => Err(format!(
            "{} has an ending that build.rs does not know",
            file.display()
        )
        .into()),
    }
}
