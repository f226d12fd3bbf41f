//! A server process that can be started, stopped and killed.
//!
//! It never waits without a bound: a process that does not come up fails the test
//! with its log.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use secrecy::{ExposeSecret, SecretString};
use slipway_db::testing::TestDatabase;

/// How long a process may take to listen or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process says when it listens.
const LISTENING: &str = "listening on http://";

/// Anything that could be random; the tests have nothing to hide.
pub const SESSION_SECRET: &str = "5f70bf18a086007016e948b04aed3b82";

/// An address and everything that is needed to serve it, running or not.
pub struct Site {
    database: Option<Arc<TestDatabase>>,
    database_url: SecretString,
    /// Fixed by the first start, so that clients find it again after a restart.
    port: u16,
    settings: BTreeMap<String, String>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
}

/// Somebody with an account, and a token with every scope.
#[derive(Debug, Clone)]
pub struct Who {
    /// The address of the account.
    pub email: String,
    /// The token.
    pub token: String,
}

impl Site {
    /// A site on a fresh database, running.
    ///
    /// # Errors
    /// When the database cannot be made or the server does not come up.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same, with settings such as `("SLIPWAY__JOBS__INLINE", "false")`.
    ///
    /// # Errors
    /// When the database cannot be made or the server does not come up.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        let mut site = Self::on(Arc::new(TestDatabase::create()?), settings);
        site.run()?;
        Ok(site)
    }

    /// A site whose database does not answer: running, and never ready.
    ///
    /// # Errors
    /// When the server does not listen.
    pub fn start_unready(database_url: &str) -> Result<Self> {
        let mut site = Self::new(None, SecretString::from(database_url), &[]);
        site.listen()?;
        Ok(site)
    }

    /// Another process on the same database, running.
    ///
    /// # Errors
    /// When the server does not come up.
    pub fn start_beside(&self) -> Result<Self> {
        let database = self.database.as_ref().context("the site has no database")?;
        let mut site = Self::on(Arc::clone(database), &[]);
        site.settings = self.settings.clone();
        site.run()?;
        Ok(site)
    }

    fn on(database: Arc<TestDatabase>, settings: &[(&str, &str)]) -> Self {
        let url = database.url().clone();
        Self::new(Some(database), url, settings)
    }

    fn new(
        database: Option<Arc<TestDatabase>>,
        database_url: SecretString,
        settings: &[(&str, &str)],
    ) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = settings.iter().map(owned).collect();
        Self {
            database,
            database_url,
            port: 0,
            settings,
            running: None,
        }
    }

    /// Sets something for the starts to come.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Starts the server process again, at the same address.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn run(&mut self) -> Result<()> {
        self.listen()?;
        self.wait_until_ready()
    }

    fn listen(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "the server is running already");
        let mut command = self.command(&["serve"])?;
        command
            .env("PORT", self.port.to_string())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("starting the server")?;
        let stderr = child
            .stderr
            .take()
            .context("the server has no standard error")?;
        let log = Arc::new(Mutex::new(String::new()));
        let (said, listening) = mpsc::channel();
        let keep = Arc::clone(&log);
        std::thread::spawn(move || keep_log(stderr, LISTENING, &keep, &said));
        let mut running = Running { child, log };
        match listening.recv_timeout(PATIENCE) {
            Ok(port) => {
                self.port = port;
                self.running = Some(running);
                Ok(())
            }
            Err(_) => {
                running.child.kill()?;
                bail!("the server did not come up:\n{}", running.log());
            }
        }
    }

    /// Kills the server, as a crash would (SIGKILL).
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut running = self.running.take().context("the server is not running")?;
        running.child.kill()?;
        running.child.wait()?;
        Ok(())
    }

    /// Asks the server to go (SIGTERM) and waits until it has; says how long that
    /// took and how it ended.
    ///
    /// # Errors
    /// When it is not running or does not go.
    pub fn stop(&mut self) -> Result<(Duration, ExitStatus)> {
        let mut running = self.running.take().context("the server is not running")?;
        let began = Instant::now();
        ask_to_go(&running.child)?;
        while began.elapsed() < PATIENCE {
            if let Some(status) = running.child.try_wait()? {
                return Ok((began.elapsed(), status));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        running.child.kill()?;
        bail!("the server did not go:\n{}", running.log());
    }

    /// Asks the server to go and does not wait.
    ///
    /// # Errors
    /// When it is not running.
    pub fn ask_to_go(&self) -> Result<()> {
        let running = self.running.as_ref().context("the server is not running")?;
        ask_to_go(&running.child)
    }

    /// Runs another `slipway` command on the same database; what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn slipway(&self, arguments: &[&str]) -> Result<String> {
        self.slipway_with_input(arguments, "")
    }

    /// The same, with something to read on standard input.
    ///
    /// # Errors
    /// When it fails.
    pub fn slipway_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(arguments)?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let log = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "slipway {arguments:?} failed:\n{log}"
        );
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Starts another `slipway` process on the same database.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Child> {
        Ok(self.command(arguments)?.stderr(Stdio::null()).spawn()?)
    }

    /// What the server answers to a plain `GET`: its first line to its last.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn answer(&self, path: &str) -> Result<String> {
        get(self.port, path)
    }

    /// Adds an account with a token.
    ///
    /// # Errors
    /// When a command fails.
    pub fn who(&self, email: &str, role: &str) -> Result<Who> {
        self.slipway(&["account", "add", email, "--role", role])?;
        let scopes = "upload,read,admin";
        let token = self.slipway(&["token", "create", "--account", email, "--scope", scopes])?;
        Ok(Who {
            email: email.to_owned(),
            token,
        })
    }

    /// Where the site is, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A one-time link that signs an account in.
    ///
    /// # Errors
    /// When the command fails.
    pub fn sign_in_url(&self, email: &str) -> Result<String> {
        Ok(format!(
            "{}{}",
            self.url(),
            self.slipway(&["account", "link", email])?
        ))
    }

    /// Its database, for what a test arranges behind the server's back.
    ///
    /// # Panics
    /// On a site that was started without one.
    #[expect(
        clippy::expect_used,
        reason = "a test that has no database cannot look at it"
    )]
    pub fn database(&self) -> &TestDatabase {
        self.database
            .as_deref()
            .expect("the site was started without a database")
    }

    /// Kills the server and keeps its database.
    ///
    /// # Errors
    /// When another process of the test still has it.
    pub fn into_database(mut self) -> Result<TestDatabase> {
        if self.running.is_some() {
            self.kill()?;
        }
        let database = self.database.take().context("the site has no database")?;
        Arc::into_inner(database).context("another site has the same database")
    }

    /// The server's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// A figure of the server's memory, such as `VmRSS`, in bytes (proc_pid_status(5)).
    ///
    /// # Errors
    /// When it is not running, or there is no such figure.
    pub fn memory(&self, figure: &str) -> Result<u64> {
        let pid = self.pid().context("the server is not running")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with(figure));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        let kibibytes: u64 = number.context("no such figure")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Everything the running server has logged.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let environment = [
            ("SLIPWAY_ENV", "test"),
            ("SESSION_SECRET", SESSION_SECRET),
            ("TEST_DATABASE_URL", self.database_url.expose_secret()),
        ];
        let mut command = command_of(arguments, &environment)?;
        command.envs(&self.settings);
        Ok(command)
    }

    fn wait_until_ready(&self) -> Result<()> {
        self.wait_for("/readyz", "HTTP/1.1 200").map(drop)
    }

    /// Asks until the answer contains `text`; that answer.
    ///
    /// # Errors
    /// When it never does; the error holds the server's log.
    pub fn wait_for(&self, path: &str, text: &str) -> Result<String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Ok(answer) = get(self.port, path)
                && answer.contains(text)
            {
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{path} never answered {text:?}:\n{}", self.log())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Nothing is left to do about a process that cannot be ended.
            let _ended = running.child.kill().and_then(|()| running.child.wait());
        }
    }
}

impl Running {
    fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn keep_log(stderr: impl Read, words: &str, log: &Mutex<String>, said: &mpsc::Sender<u16>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let port = line
            .split_once(words)
            .and_then(|(_, address)| address.rsplit(':').next());
        if let Some(port) = port.and_then(|port| port.trim().parse().ok()) {
            // Whoever waited may have given up.
            let _unheard = said.send(port);
        }
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&line);
        log.push('\n');
    }
}

/// The port that a process says it listens on, on its standard error; the rest of what
/// it says goes unheard.
///
/// # Errors
/// When it ends or is silent instead.
pub fn listening_port(stderr: impl Read + Send + 'static) -> Result<u16> {
    port_said(stderr, LISTENING)
}

/// The same of a process that has other words for it.
pub(crate) fn port_said(stderr: impl Read + Send + 'static, words: &'static str) -> Result<u16> {
    let (said, listening) = mpsc::channel();
    std::thread::spawn(move || keep_log(stderr, words, &Mutex::default(), &said));
    let port = listening.recv_timeout(PATIENCE);
    port.context("a process did not come up")
}

/// One plain request, without a client library to start.
fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The binary beside the test's own: both come out of one `target` folder.
pub(crate) fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("slipway"))
        .find(|path| path.is_file());
    found.context(
        "there is no slipway binary; run `cargo build`, or the tests by `cargo xtask test`",
    )
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Asks a process to go (SIGTERM), as platforms do, and does not wait.
///
/// # Errors
/// When it cannot be asked.
pub fn ask_to_go(process: &Child) -> Result<()> {
    let asked = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status()?;
    ensure!(asked.success(), "SIGTERM could not be sent");
    Ok(())
}

/// Runs `slipway` with these variables and no others; whatever comes of it.
///
/// # Errors
/// When there is no binary.
pub fn output_of(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    Ok(command_of(arguments, environment)?.output()?)
}

/// Starts `slipway` with these variables and no others; nobody hears what it says.
///
/// # Errors
/// When there is no binary.
pub fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Child> {
    let mut command = command_of(arguments, environment)?;
    Ok(command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

fn command_of(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command
        .args(arguments)
        .current_dir(workspace())
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    Ok(command)
}
