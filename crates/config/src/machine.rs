//! What a machine shows of itself besides variables: where the process runs, and
//! files that only a platform puts there.
//!
//! Variables travel: they are pasted, exported, injected. These facts do not, so
//! they decide whether variables that name a platform are believed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The file by which somebody with root says that a machine of their own serves
/// real users. Its content is of no interest.
pub(crate) const HOST_FILE: &str = "/etc/slipway/host";

/// Something on the machine that belongs to a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// `/.fly`, the socket folder of a Fly Machine.
    FlyFolder,
    /// The service account that Kubernetes mounts into every pod.
    KubernetesFolder,
    /// A container: its file is there, or its first process is no system's.
    Container,
    /// [`HOST_FILE`], owned by root and writable by nobody else.
    HostFile,
}

/// What a process finds itself on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) folder: PathBuf,
    pub(crate) marks: BTreeSet<Mark>,
}

impl Machine {
    /// Looks at the machine of this process. What cannot be seen is not there.
    pub(crate) fn of_process() -> Self {
        let seen = [
            (Mark::FlyFolder, Path::new("/.fly").is_dir()),
            (
                Mark::KubernetesFolder,
                Path::new("/var/run/secrets/kubernetes.io").is_dir(),
            ),
            (Mark::Container, in_container()),
            (Mark::HostFile, host_file()),
        ];
        Self {
            folder: std::env::current_dir().unwrap_or_default(),
            marks: seen
                .into_iter()
                .filter_map(|(mark, there)| there.then_some(mark))
                .collect(),
        }
    }
}

fn in_container() -> bool {
    // The names under which init systems run as the first process.
    const SYSTEMS: [&str; 4] = ["systemd", "init", "runit", "openrc-init"];
    Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || std::fs::read_to_string("/proc/1/comm")
            .is_ok_and(|first| !SYSTEMS.contains(&first.trim_end()))
}

#[cfg(unix)]
fn host_file() -> bool {
    use std::os::unix::fs::MetadataExt;
    // Group or others could have written it, then it says nothing.
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    std::fs::symlink_metadata(HOST_FILE).is_ok_and(|file| {
        file.is_file() && file.uid() == 0 && file.mode() & WRITABLE_BY_OTHERS == 0
    })
}

#[cfg(not(unix))]
fn host_file() -> bool {
    false
}
