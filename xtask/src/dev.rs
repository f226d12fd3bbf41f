//! `cargo xtask dev`: from a checkout to a page one is signed in to, and back to nothing.
//!
//! The build and the database start side by side. Whatever is started is owned by a value
//! here, so every way out, also an error half-way, stops it again in the right order:
//! first the server, then the database.

mod port;
mod product;
mod record;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;

use crate::arguments::DevOptions;
use crate::http;
use crate::postgres::{self, Claim, Cluster, Pick};
use crate::process::{Group, Signal, send, spelled};
use crate::say;
use crate::stop::{GLANCE, Stop, Stopped};
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use product::Product;
use record::Record;

pub(crate) use product::built;

/// The database of development.
const DATABASE: &str = "slipway_dev";
/// The account that one is signed in as.
const ACCOUNT: &str = "dev@example.com";
/// What the token in the ready file may do, and for how long.
const TOKEN_TERMS: &str = "--scope upload,read,admin --expires 1d --name development";
/// A cold cargo build of everything, vendored OpenSSL included, on a slow machine.
pub(crate) const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);
/// The server is ready in a fraction of a second, or something is wrong.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The server gives running requests 20 s to end; five more for it to go.
const SERVER_GRACE: Duration = Duration::from_secs(25);

/// Files of this command, in the folder of its cluster.
struct Papers {
    running: PathBuf,
    secret: PathBuf,
}

/// Runs Slipway until somebody stops it or it stops by itself.
pub(crate) fn run(workspace: &Workspace, options: &DevOptions) -> Result<ExitCode> {
    let home = workspace.clusters().join("dev");
    let papers = Papers {
        running: home.join("running.json"),
        secret: home.join("session_secret"),
    };
    let Some(claim) = Claim::on(&home)? else {
        match record::address(&papers.running) {
            Some(url) => {
                bail!("already running at {url}, use that one or stop it with Ctrl-C there")
            }
            None => bail!("another `cargo xtask dev` of this checkout is starting or stopping"),
        }
    };
    let stop = Stop::listen()?;
    match up(workspace, options, claim, &papers, &stop) {
        Ok(code) => Ok(code),
        // A stop on request is how this command is meant to end.
        Err(error) if error.is::<Stopped>() => {
            say::note("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    }
}

fn up(
    workspace: &Workspace,
    options: &DevOptions,
    claim: Claim,
    papers: &Papers,
    stop: &Stop,
) -> Result<ExitCode> {
    end_leftover(papers, &workspace.root, stop);
    if let Some(ready) = &options.ready_file {
        // A script must not take the address of an earlier run for ours.
        let _ = std::fs::remove_file(ready);
    }
    let toolchain = Toolchain::settle(workspace)?;
    let mut build = toolchain.build(options.release);
    if options.verbose {
        say::note(format_args!("$ {}", spelled(&build)));
    }
    let mut build = Group::start(build.current_dir(&workspace.root), "the build")?;
    let mut cluster = claim.start(postgres::find(Pick::Found, stop)?, stop)?;
    build.finish(BUILD_LIMIT, stop)?;

    let product = prepare(workspace, options, &cluster, papers, stop)?;
    let mut served = Served::start(&product, options, papers, stop)?;
    let outcome = served.watch(&mut cluster, stop);
    if outcome.is_ok() {
        say::note("stopping (once more to stop at once)");
    }
    served.end(stop);
    cluster.stop(stop);
    say::note("stopped");
    outcome.map(|()| ExitCode::SUCCESS)
}

/// A run that was killed could not stop its server; the port and the files are ours now.
fn end_leftover(papers: &Papers, root: &Path, stop: &Stop) {
    let Some(pid) = record::leftover(&papers.running, root) else {
        return;
    };
    say::step(
        "leftover",
        format_args!("stopping the server of an earlier run (process {pid})"),
    );
    send(Signal::Term, &pid.to_string());
    let deadline = Instant::now() + SERVER_GRACE;
    while record::leftover(&papers.running, root).is_some() && !stop.asked() {
        if Instant::now() > deadline {
            send(Signal::Kill, &pid.to_string());
            return;
        }
        thread::sleep(GLANCE);
    }
}

/// Database, migrations, account.
fn prepare(
    workspace: &Workspace,
    options: &DevOptions,
    cluster: &Cluster,
    papers: &Papers,
    stop: &Stop,
) -> Result<Product> {
    if options.reset {
        cluster.drop_database(DATABASE)?;
        say::step("database", format_args!("{DATABASE} emptied"));
    }
    cluster.ensure_database(DATABASE)?;
    let binary = workspace.product(options.release);
    built(&binary)?;
    let product = Product {
        binary,
        root: workspace.root.clone(),
        settings: vec![
            ("SLIPWAY_ENV", "development".to_owned()),
            ("DATABASE_URL", cluster.address(DATABASE)),
            ("SESSION_SECRET", record::session_secret(&papers.secret)?),
        ],
        verbose: options.verbose,
    };
    product.run("migrate", stop)?;
    let add = format!("account add {ACCOUNT} --role administrator --if-missing");
    product.run(&add, stop)?;
    say::step("database", format_args!("{DATABASE} is migrated"));
    Ok(product)
}

/// The running server and the files that tell of it.
struct Served {
    server: Group,
    _records: Vec<Record>,
}

impl Served {
    fn start(
        product: &Product,
        options: &DevOptions,
        papers: &Papers,
        stop: &Stop,
    ) -> Result<Served> {
        let port = port::choose(options.port)?;
        let url = format!("http://127.0.0.1:{port}");
        let mut server = product.serve(port)?;
        let mut records = vec![Record::write(
            &papers.running,
            &record::note(&url, server.id()),
        )?];
        wait_until_ready(&mut server, port, stop)?;

        let path = product.answer(&format!("account link {ACCOUNT}"), stop)?;
        ensure!(
            path.starts_with('/'),
            "`slipway account link` should print a path, not {path:?}"
        );
        let sign_in = format!("{url}{path}");
        if let Some(ready) = &options.ready_file {
            let create = format!("token create --account {ACCOUNT} {TOKEN_TERMS}");
            let token = product.answer(&create, stop)?;
            let content = json!({ "url": url, "sign_in_url": sign_in, "token": token });
            records.push(Record::write(ready, &content)?);
        }
        say::out(format_args!(
            "\n  Slipway runs at   {url}\n  Sign in, once     {sign_in}\n  Stop everything   Ctrl-C\n"
        ));
        Ok(Served {
            server,
            _records: records,
        })
    }

    /// Returns when a stop is asked for; an error if something ends before that.
    fn watch(&mut self, cluster: &mut Cluster, stop: &Stop) -> Result<()> {
        while !stop.asked() {
            if let Some(status) = self.server.ended()? {
                bail!("the server stopped by itself ({status}), its last words are above");
            }
            if !cluster.runs() {
                bail!("the private Postgres stopped by itself, see server.log beside its data");
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    fn end(mut self, stop: &Stop) {
        if !self.server.end(SERVER_GRACE, stop) {
            say::note("the server did not stop in time and was killed");
        }
    }
}

fn wait_until_ready(server: &mut Group, port: u16, stop: &Stop) -> Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    let mut last = String::from("nobody asked");
    while Instant::now() < deadline {
        stop.check()?;
        if let Some(status) = server.ended()? {
            bail!("the server stopped before it was ready ({status}), its last words are above");
        }
        match http::status(port, "/readyz") {
            Ok(200) => return Ok(()),
            Ok(status) => last = format!("status {status}"),
            Err(error) => last = format!("{error:#}"),
        }
        thread::sleep(GLANCE);
    }
    bail!(
        "the server was not ready after {} s: http://127.0.0.1:{port}/readyz gives {last}",
        READY_LIMIT.as_secs()
    )
}
