//! A dyno, as far as a process can tell: its variables, its home `/app`, and that it
//! runs there.
//!
//! `/app` is made in a mount namespace of its own, in which everything else is the
//! machine's. Nothing on the machine changes.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::server::{binary, workspace};

/// Shows the machine's folders below a new root, and the project as `/app`.
const STAGE: &str = r#"
set -e
root="$1"; project="$2"; binary="$3"; shift 3
mount -t tmpfs none "$root"
for folder in /*; do
    if [ -L "$folder" ]; then cp -P "$folder" "$root$folder"; continue; fi
    [ -d "$folder" ] || continue
    mkdir "$root$folder"
    mount --rbind "$folder" "$root$folder"
done
mkdir -p "$root/app"
mount --rbind "$project" "$root/app"
exec chroot "$root" sh -c 'cd /app && exec "$@"' sh "$binary" "$@"
"#;

/// A command of `slipway` on a dyno called so, with these variables; `None` where the
/// machine cannot stage one.
///
/// # Errors
/// When there is no binary, or no folder for the stage.
pub fn on_dyno(
    dyno: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<Option<Command>> {
    if !has_namespaces() {
        return Ok(None);
    }
    let root = std::env::temp_dir().join("slipway-dyno");
    std::fs::create_dir_all(&root)?;
    let mut command = Command::new("unshare");
    command
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            STAGE,
            "sh",
        ])
        .arg(root)
        .arg(workspace().canonicalize()?)
        .arg(binary()?)
        .args(arguments)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), ("HOME", "/app")])
        .env("DYNO", dyno)
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    Ok(Some(command))
}

/// Whether this machine lets its users make namespaces.
pub fn has_namespaces() -> bool {
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}
