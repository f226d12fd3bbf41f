//! A store for one site: what to set, and a folder or a server that goes with it.
//!
//! It never leaves a file or a process behind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};

use crate::server::port_said;

/// The stores that a site can be started on. S3 needs a server that speaks it, whose
/// program `cargo xtask` installs and names; without it that store is left out, and the
/// run counts one skipped.
pub fn stores() -> Vec<&'static str> {
    let mut stores = vec!["postgres", "disk"];
    if s3_program().is_some() {
        stores.push("s3");
    }
    stores
}

/// One of them, for one site; gone when dropped, and with it what was kept there.
pub struct Storage {
    settings: Vec<(&'static str, String)>,
    folder: Option<PathBuf>,
    bucket: Option<Bucket>,
}

impl Storage {
    /// A fresh store of this name.
    ///
    /// # Errors
    /// When there is no such store, or its server does not come up.
    pub fn of(store: &str) -> Result<Self> {
        Self::under(&std::env::temp_dir(), store)
    }

    /// The same, keeping files below this folder.
    ///
    /// # Errors
    /// When there is no such store, or its server does not come up.
    pub fn under(folder: &Path, store: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut storage = Self {
            settings: vec![("SLIPWAY__UPLOADS__STORE", store.to_owned())],
            folder: None,
            bucket: None,
        };
        match store {
            "postgres" => {}
            "disk" => {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let name = format!("slipway-store-{}-{number}", std::process::id());
                let folder = folder.join(name);
                let path = folder.display().to_string();
                storage.settings.push(("SLIPWAY__UPLOADS__DISK_PATH", path));
                storage.folder = Some(folder);
            }
            "s3" => {
                let bucket = Bucket::start()?;
                let endpoint = format!("http://127.0.0.1:{}", bucket.port);
                storage.settings.extend([
                    ("AWS_ENDPOINT_URL", endpoint),
                    ("S3_BUCKET", Bucket::NAME.to_owned()),
                    ("AWS_ACCESS_KEY_ID", "tests".to_owned()),
                    ("AWS_SECRET_ACCESS_KEY", "nothing-to-hide".to_owned()),
                ]);
                storage.bucket = Some(bucket);
            }
            other => bail!("there is no store {other:?}; there are {:?}", stores()),
        }
        Ok(storage)
    }

    /// What a site on this store is started with.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        let borrowed = self.settings.iter();
        borrowed
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }

    /// The folder of the disk store.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The server of the S3 store.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_ref()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // It is not there if nothing was kept in it.
            let _gone = std::fs::remove_dir_all(folder);
        }
    }
}

/// A server that speaks S3, with one bucket; ended when dropped.
pub struct Bucket {
    server: Child,
    port: u16,
}

impl Bucket {
    const NAME: &str = "files";

    fn start() -> Result<Self> {
        let program = s3_program().context("there is no server for S3")?;
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = command.spawn().context("starting a server for S3")?;
        let said = server.stderr.take().context("it says nothing")?;
        let port = port_said(said, "Running on http://")?;
        let bucket = Self { server, port };
        bucket.ask("PUT", "")?;
        Ok(bucket)
    }

    /// What the bucket holds, as S3 lists it: keys, or unfinished objects.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn list(&self, what: &str) -> Result<String> {
        self.ask("GET", what)
    }

    fn ask(&self, method: &str, query: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            stream,
            "{method} /{}{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            Self::NAME
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(answer)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Nothing is left to do about a process that cannot be ended.
        let _ended = self.server.kill().and_then(|()| self.server.wait());
    }
}

/// The program that speaks S3.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to read"
)]
fn s3_program() -> Option<PathBuf> {
    std::env::var_os("SLIPWAY_S3_SERVER").map(PathBuf::from)
}
