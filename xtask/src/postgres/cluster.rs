//! A private cluster from claim to removal: one folder, one lock, one server.
//!
//! Whoever holds the lock owns the server, also one that a killed run left behind; that
//! is why stopping it is always right. Authentication is `trust`: the only way in is a
//! socket in a folder that no other user can enter.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::binaries::Binaries;
use super::door::Door;
use super::folders::{Folders, exclusively};
use super::pidfile::{Verdict, inhabitants, judge};
use super::server::{Durability, Launch, Pace, Server, Site};
use super::wire::{Connection, USER};
use crate::say;
use crate::stop::{GLANCE, Stop};

/// How long remains of a killed server may stand in the way: its children notice
/// within about a second that it is gone.
const REMAINS_LIMIT: Duration = Duration::from_secs(5);
/// How often a server that was left behind is given the chance to answer or to go.
const ADOPTIONS_MAX: usize = 2;
/// What the folder of a throw-away cluster is called, before its process id.
const THROW_AWAY: &str = "test-";

/// A folder that is ours alone, with no server in it yet.
pub(crate) struct Claim {
    account: Account,
    folders: Folders,
    door: Option<Door>,
    durability: Durability,
}

/// A running private cluster; stopped when dropped.
pub(crate) struct Cluster {
    // Before the claim: the server must be gone when the lock opens.
    server: Server,
    claim: Claim,
    version: String,
    log: PathBuf,
    /// The file with the certificate of the door, if it has one.
    certificate: Option<PathBuf>,
}

impl Claim {
    /// Claims `home` for this run; `None` if another run has it.
    pub(crate) fn on(home: &Path) -> Result<Option<Claim>> {
        let account = Account::choose()?;
        Ok(Folders::claim(home, &account)?.map(|folders| Claim {
            account,
            folders,
            door: None,
            durability: Durability::None,
        }))
    }

    /// The same with another way in.
    pub(crate) fn with_door(self, door: Option<Door>) -> Claim {
        Claim { door, ..self }
    }

    /// The same with other promises.
    pub(crate) fn with_durability(self, durability: Durability) -> Claim {
        Claim { durability, ..self }
    }

    /// A new folder under `clusters` for one of the servers of this run, after removing
    /// those of runs that died.
    pub(crate) fn throw_away(clusters: &Path, which: &str, stop: &Stop) -> Result<Claim> {
        // Two runs at once: the one must not take the other's new folder for a dead one.
        let _sweeping = exclusively(clusters)?;
        for entry in fs::read_dir(clusters)? {
            let home = entry?.path();
            let name = home.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with(THROW_AWAY) {
                continue;
            }
            // What cannot be removed, another user's for instance, is no reason to stop.
            if let Err(error) = Claim::on(&home).and_then(|dead| match dead {
                Some(dead) => dead.remove(stop),
                None => Ok(()),
            }) {
                say::note(format_args!("left as it is: {error:#}"));
            }
        }
        let home = clusters.join(format!("{THROW_AWAY}{}{which}", std::process::id()));
        Claim::on(&home)?.with_context(|| format!("{} is in use", home.display()))
    }

    /// Makes the data directory if need be, starts the server.
    pub(crate) fn start(self, binaries: Binaries, stop: &Stop) -> Result<Cluster> {
        let began = Instant::now();
        let origin = format!(
            "{} from {} ({})",
            binaries.version,
            binaries.folder.display(),
            binaries.origin
        );
        // The major version is in the path, so another server never meets these files.
        let state = self.folders.create(&format!("pg{}", binaries.major))?;
        let site = Site {
            binaries,
            account: self.account.clone(),
            data: state.join("data"),
            socket: self.folders.socket.clone(),
            log: state.join("server.log"),
            door: self.door.clone(),
            durability: self.durability,
        };
        say::step("postgres", origin);
        let server = bring_up(&site, stop).with_context(|| {
            let place = self.folders.state.display();
            format!("starting the private Postgres (remove {place} to begin anew)")
        })?;
        let certificate = site.certificate().with_extension("crt");
        say::step(
            "postgres",
            format_args!("up after {:.1} s", began.elapsed().as_secs_f32()),
        );
        let cluster = Cluster {
            server,
            version: site.binaries.version,
            log: site.log,
            certificate: (self.door.is_some() && certificate.exists()).then_some(certificate),
            claim: self,
        };
        cluster.open_door()?;
        Ok(cluster)
    }

    /// Stops what an earlier run may have left and removes everything.
    fn remove(self, stop: &Stop) -> Result<()> {
        for entry in fs::read_dir(&self.folders.state)? {
            let data = entry?.path().join("data");
            if let Verdict::Running(pid) = judge(&data) {
                Server::left_behind(pid, &data).stop(Pace::Immediate, stop);
            }
        }
        self.folders.remove()
    }
}

impl Cluster {
    /// The address of a database for libpq, the socket's folder as its host.
    pub(crate) fn address(&self, database: &str) -> String {
        let host = self
            .claim
            .folders
            .socket
            .display()
            .to_string()
            .replace('/', "%2F");
        format!("postgres://{USER}@{host}/{database}")
    }

    /// The address of a database by the door, with its password.
    pub(crate) fn address_by_door(&self, database: &str) -> Option<String> {
        let Door { address, password } = self.claim.door.as_ref()?;
        Some(format!("postgres://{USER}:{password}@{address}/{database}"))
    }

    /// The file in which the server says what it does.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The file with the certificate that the door shows, if it is encrypted.
    pub(crate) fn certificate(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    /// Until the superuser has a password, nobody comes in by the door.
    fn open_door(&self) -> Result<()> {
        if let Some(door) = &self.claim.door {
            let statement = format!("ALTER ROLE {USER} PASSWORD '{}'", door.password);
            self.connect()?.ask(&statement)?;
        }
        Ok(())
    }

    /// The server's version, `15.18`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Creates `database` if it is not there.
    pub(crate) fn ensure_database(&self, database: &str) -> Result<()> {
        let mut connection = self.connect()?;
        let known = format!("SELECT 1 FROM pg_database WHERE datname = '{database}'");
        if connection.ask(&known)?.is_empty() {
            connection.ask(&format!("CREATE DATABASE {database}"))?;
        }
        Ok(())
    }

    /// Drops `database`, whoever is connected to it.
    pub(crate) fn drop_database(&self, database: &str) -> Result<()> {
        let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        self.connect()?.ask(&statement).map(drop)
    }

    /// False once the server is gone.
    pub(crate) fn runs(&mut self) -> bool {
        self.server.runs()
    }

    /// Stops the server and keeps the data.
    pub(crate) fn stop(mut self, stop: &Stop) {
        self.server.stop(Pace::Fast, stop);
        // A server that died left its socket; the folder is made anew at the next start.
        let _ = fs::remove_dir_all(&self.claim.folders.socket);
    }

    /// Stops the server and removes everything that was made for it.
    pub(crate) fn remove(mut self, stop: &Stop) -> Result<()> {
        self.server.stop(Pace::Immediate, stop);
        if stop.insisted() {
            // A hundred databases take seconds to remove; the next run sweeps them.
            return Ok(());
        }
        self.claim.folders.remove()
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.claim.folders.socket, "postgres")
    }
}

fn bring_up(site: &Site, stop: &Stop) -> Result<Server> {
    let mut fresh = false;
    if !site.data.join("PG_VERSION").exists() {
        set_aside(site)?;
        site.initialise(stop)?;
        fresh = true;
        if let Some(door) = &site.door {
            let log = site.log.with_extension("certificate.log");
            if !door.certify(&site.account, &site.certificate(), &log, stop)? {
                say::note("there is no openssl to make a certificate: tests of TLS are skipped");
            }
        }
    }
    let mut deadline = Instant::now() + REMAINS_LIMIT;
    let mut adoptions = 0;
    loop {
        stop.check()?;
        match judge(&site.data) {
            Verdict::Running(pid) if adoptions == ADOPTIONS_MAX => bail!(
                "process {pid} holds {} and neither answers nor goes, end it first",
                site.data.display()
            ),
            Verdict::Running(pid) => {
                if let Some(server) = site.adopt(pid, stop)? {
                    return Ok(server);
                }
                adoptions += 1;
                deadline = Instant::now() + REMAINS_LIMIT;
                continue;
            }
            Verdict::Misleading => clear(&site.data, stop)?,
            Verdict::Free | Verdict::Dead => {}
        }
        match site.launch(stop)? {
            Launch::Up(server) => return Ok(server),
            Launch::Held(_) if Instant::now() < deadline => thread::sleep(GLANCE),
            Launch::Damaged(_) if !fresh => {
                set_aside(site)?;
                site.initialise(stop)?;
                fresh = true;
            }
            Launch::Held(tail) | Launch::Damaged(tail) | Launch::Failed(tail) => bail!(tail),
        }
    }
}

/// Removes a pid file that names somebody else, once nobody has the directory open.
/// Postgres' own check for orphans needs the file, so it is made here instead.
fn clear(data: &Path, stop: &Stop) -> Result<()> {
    let deadline = Instant::now() + REMAINS_LIMIT;
    loop {
        stop.check()?;
        let orphans = inhabitants(data);
        if orphans.is_empty() {
            return fs::remove_file(data.join("postmaster.pid"))
                .context("removing a stale pid file");
        }
        if Instant::now() > deadline {
            bail!(
                "processes {orphans:?} still have {} open, end them first",
                data.display()
            );
        }
        thread::sleep(GLANCE);
    }
}

/// Moves unusable files out of the way; the last such set is kept for a look.
fn set_aside(site: &Site) -> Result<()> {
    if !site.data.exists() {
        return Ok(());
    }
    let aside = site.data.with_extension("broken");
    if aside.exists() {
        fs::remove_dir_all(&aside).with_context(|| format!("removing {}", aside.display()))?;
    }
    fs::rename(&site.data, &aside).with_context(|| format!("moving {}", site.data.display()))?;
    say::step(
        "postgres",
        format_args!(
            "the files are damaged and were moved to {}, starting empty",
            aside.display()
        ),
    );
    Ok(())
}
