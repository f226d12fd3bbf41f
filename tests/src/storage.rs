//! A store for one site: what to set, and a folder that goes with it.
//!
//! It never leaves a file behind.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// The stores that a site can be started on.
pub const STORES: [&str; 2] = ["postgres", "disk"];

/// One of them, for one site; gone when dropped, and with it what was kept there.
pub struct Storage {
    settings: Vec<(&'static str, String)>,
    folder: Option<PathBuf>,
}

impl Storage {
    /// A fresh store of this name.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn of(store: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut settings = vec![("SLIPWAY__UPLOADS__STORE", store.to_owned())];
        let folder = match store {
            "postgres" => None,
            "disk" => {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let name = format!("slipway-store-{}-{number}", std::process::id());
                let folder = std::env::temp_dir().join(name);
                let path = folder.display().to_string();
                settings.push(("SLIPWAY__UPLOADS__DISK_PATH", path));
                Some(folder)
            }
            other => bail!("there is no store {other:?}; there are {STORES:?}"),
        };
        Ok(Self { settings, folder })
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
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // It is not there if nothing was kept in it.
            let _gone = std::fs::remove_dir_all(folder);
        }
    }
}
