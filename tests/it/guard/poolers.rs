//! PgBouncer in front of the database, in the mode that loses sessions and in the one
//! that does not.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret;
use slipway_db::testing::{Environment, TestDatabase, skip};
use slipway_tests::has_namespaces;

use super::{on_laptop, stderr_of};

/// A pooler; ended when dropped.
struct Pooler {
    child: Child,
    folder: std::path::PathBuf,
}

impl Pooler {
    /// A pooler before the server of this database; `None` if the machine has none.
    fn before(database: &TestDatabase, mode: &str) -> Result<Option<Self>> {
        let program = [
            "/usr/sbin/pgbouncer",
            "/usr/bin/pgbouncer",
            "/opt/homebrew/bin/pgbouncer",
        ];
        let Some(program) = program.into_iter().find(|path| Path::new(path).exists()) else {
            skip("there is no pgbouncer on this machine")?;
            return Ok(None);
        };
        if !has_namespaces() {
            skip("user namespaces are closed, and pgbouncer does not run as root")?;
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("slw-pooler-{}-{mode}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let url = database.url().expose_secret();
        let (_, rest) = url.split_once('@').context("an address has an @")?;
        let (socket, _) = rest
            .split_once('/')
            .context("an address names a database")?;
        let place = folder.display();
        std::fs::write(folder.join("users.txt"), "\"slipway\" \"\"\n")?;
        std::fs::write(
            folder.join("pgbouncer.ini"),
            format!(
                "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {place}\n\
                 listen_port = 6432\nauth_type = trust\nauth_file = {place}/users.txt\n\
                 pool_mode = {mode}\ndefault_pool_size = 4\nlogfile = {place}/log\n",
                socket.replace("%2F", "/")
            ),
        )?;
        // It refuses to run as root, as PostgreSQL does.
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-user=65534", "--map-group=65534", program])
            .arg(folder.join("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let pooler = Self {
            child: command.spawn()?,
            folder,
        };
        let began = Instant::now();
        while !pooler.folder.join(".s.PGSQL.6432").exists() {
            let log = std::fs::read_to_string(pooler.folder.join("log")).unwrap_or_default();
            ensure!(
                began.elapsed() < Duration::from_secs(20),
                "the pooler did not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(pooler))
    }

    fn url(&self, database: &TestDatabase) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        let name = database.approved().address().database();
        format!("postgres://slipway@{folder}:6432/{name}")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // What cannot be ended or removed now goes with the machine's temporary folder.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_pooler_in_transaction_mode_is_found_out_and_refused_for_migrating() -> Result<()> {
    let database = TestDatabase::create()?;
    database.restamp(Environment::Development, None)?;
    let Some(pooler) = Pooler::before(&database, "transaction")? else {
        return Ok(());
    };
    let url = pooler.url(&database);

    let migrated = on_laptop(&["migrate"], &[("DATABASE_URL", &url)])?;
    let checked = on_laptop(&["check"], &[("DATABASE_URL", &url)])?;
    // Short transactions are what it is made for.
    let listed = on_laptop(&["account", "list"], &[("DATABASE_URL", &url)])?;

    assert_eq!(migrated.status.code(), Some(1));
    let told = stderr_of(&migrated);
    assert!(
        told.contains("transaction mode") && told.contains("direct address"),
        "{told}"
    );
    let told = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(2), "{told}");
    assert!(told.contains("refused   pooler"), "{told}");
    assert_eq!(listed.status.code(), Some(0), "{}", stderr_of(&listed));
    Ok(())
}

#[test]
fn a_pooler_in_session_mode_is_as_good_as_none() -> Result<()> {
    let database = TestDatabase::create()?;
    database.restamp(Environment::Development, None)?;
    let Some(pooler) = Pooler::before(&database, "session")? else {
        return Ok(());
    };
    let url = pooler.url(&database);

    let migrated = on_laptop(&["migrate"], &[("DATABASE_URL", &url)])?;
    let checked = on_laptop(&["check"], &[("DATABASE_URL", &url)])?;

    assert_eq!(migrated.status.code(), Some(0), "{}", stderr_of(&migrated));
    let told = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{told}");
    assert!(told.contains("ok        pooler"), "{told}");
    Ok(())
}
