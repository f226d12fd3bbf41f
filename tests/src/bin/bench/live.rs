//! The cases of `bench live`.
//!
//! A value tells by itself when it was committed: `done` counts time. Rows are changed as
//! another process would, by a statement and a notification after it, or by requests to
//! another process; in one case by requests to the same. It never counts what a viewer got
//! before the case began.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use slipway_tests::{Site, Tus, Who, listening_port};

use crate::gauge::Gauge;
use crate::report::{Case, Report};
use crate::uploads::server_log;
use crate::watchers::{Watchers, micros};

/// Viewers of one process: below the 10,000 files that a dyno has.
const MANY: usize = 9000;
const SOME: usize = 1000;
const TOPICS: usize = 1000;

/// How long each case is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// Changes closer together than this are one for viewers; slower ones each are seen.
const FLAT_OUT: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_millis(310);

/// What is promised.
const PER_CORE: f64 = 60_000.0;
const SHARE: f64 = 0.75;
const P99_MS: f64 = 100.0;
const P99_TWO_MS: f64 = 200.0;
const CONNECTION_KIB: f64 = 16.0;
const STALLED_MIB: f64 = 64.0;
const RECOVERED_S: f64 = 15.0;

/// A unit of `done` where rows are changed: as fine as the clock. Where bytes are sent, a
/// byte is a tenth of a millisecond, or they would be too many.
const FINE_MICROS: u128 = 1;
const BYTE_MICROS: u128 = 100;

/// Measures everything, or what is named: bytes, fan-out, stalled, storm.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    if report.wants("bytes") {
        one_process(report)?;
        two_processes(report)?;
    }
    if report.wants("fan-out") {
        let reference = [reference(SOME)?, reference(MANY)?];
        fan_out(SOME, 1, reference[0], report)?;
        fan_out(MANY, 1, reference[1], report)?;
        fan_out(MANY, TOPICS, reference[1], report)?;
    }
    if report.wants("stalled") {
        stalled(report)?;
    }
    if report.wants("storm") {
        storm(report)?;
    }
    Ok(())
}

/// Somebody on a site, and uploads that are watched.
struct Stage {
    site: Site,
    who: Who,
    topics: Vec<String>,
}

impl Stage {
    fn with(topics: usize) -> Result<Self> {
        let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
        let who = site.who("bench@example.com", "member")?;
        // As announced by the product, but for their number and size.
        site.database().execute(&format!(
            "INSERT INTO uploads (id, owner_id, name, metadata, total_bytes, store) \
             SELECT gen_random_uuid(), accounts.id, 'file-' || number, '', 9000000000000000, 'postgres' \
             FROM accounts, generate_series(1, {topics}) AS number"
        ))?;
        let ids = "SELECT 'upload:' || id AS value FROM uploads";
        let topics = site.database().query(ids)?;
        Ok(Self { site, who, topics })
    }

    fn gauge(&self) -> Result<Gauge> {
        Gauge::start(self.site.pid().context("the server is not running")?)
    }

    fn watchers(&self, viewers: usize) -> Result<Watchers> {
        let address = self.site.url();
        let time = (micros()?, FINE_MICROS);
        Watchers::start((&address, &self.who.token), viewers, &self.topics, time)
    }

    /// Changes every row, then says so, as a process does.
    fn commit(&self, done: u64) -> Result<()> {
        let database = self.site.database();
        database.execute(&format!(
            "UPDATE uploads SET stored_bytes = {done}, seq = seq + 1"
        ))?;
        // Topics of one notification: 43 bytes each, of 8000.
        for topics in self.topics.chunks(150) {
            let topics = topics.join(" ");
            database.execute(&format!("NOTIFY slipway_progress, 'bench {topics}'"))?;
        }
        Ok(())
    }

    /// Commits on and on; the last value.
    fn commit_for(&self, watchers: &Watchers, time: Duration, pause: Duration) -> Result<u64> {
        let began = Instant::now();
        let mut done = 0;
        while began.elapsed() < time {
            let next = Instant::now() + pause;
            done = watchers.now()?;
            self.commit(done)?;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(done)
    }
}

/// Viewers of the process that takes the bytes.
fn one_process(report: &mut Report) -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
    let who = site.who("bench@example.com", "member")?;
    let name = format!("{SOME} viewers, one file, bytes to the same process");
    report.push(bytes(&site, &site, &who, name, P99_MS)?);
    Ok(())
}

/// Viewers of another one.
fn two_processes(report: &mut Report) -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
    let beside = site.start_beside()?;
    let who = site.who("bench@example.com", "member")?;
    let name = format!("{SOME} viewers, one file, bytes to another process");
    report.push(bytes(&site, &beside, &who, name, P99_TWO_MS)?);
    Ok(())
}

/// Sends a file as slowly as time goes, so that its stored bytes are the time. What is
/// measured begins before the request, so it is more than commit to receipt.
fn bytes(to: &Site, from: &Site, who: &Who, name: String, p99: f64) -> Result<Case> {
    let runtime = tokio::runtime::Runtime::new()?;
    let upload = runtime.block_on(Tus::create(&to.url(), who, 10_000_000, ""))?;
    let topics = [format!("upload:{}", upload.id())];
    let time = (micros()?, BYTE_MICROS);
    let mut watchers = Watchers::start((&from.url(), &who.token), SOME, &topics, time)?;
    let (began, mut at) = (Instant::now(), 0);
    let mut measuring = false;
    while began.elapsed() < WATCHED + CALM {
        let now = usize::try_from(watchers.now()?)?;
        let answer = runtime.block_on(upload.patch(at, vec![0; now - at]))?;
        answer.error_for_status()?;
        at = now;
        std::thread::sleep(CALM);
        if !measuring {
            // The first request makes up for the time before it.
            watchers.order("reset")?;
            measuring = true;
        }
    }
    let done = at as u64;
    watchers.until("at_end", SOME, done)?;
    let seen = watchers.report(done)?;
    Ok(Case {
        name,
        figures: vec![
            ("p50", seen.count("p50_ms"), "ms"),
            ("p99", seen.count("p99_ms"), "ms"),
            ("max", seen.count("max_ms"), "ms"),
            ("messages", seen.count("messages"), "messages"),
            (
                "missing",
                SOME as f64 - seen.count("at_end"),
                "viewers without the last value",
            ),
        ],
        reference: "from before the request to receipt".to_owned(),
        ratio: None,
        bar: format!("p99 <= {p99} ms, none missing, none backwards"),
        holds: Some(seen.count("p99_ms") <= p99 && seen.count("backwards") == 0.0),
    })
}

/// Messages per second of a core.
fn fan_out(viewers: usize, topics: usize, reference: f64, report: &mut Report) -> Result<()> {
    let stage = Stage::with(topics)?;
    let before = stage.gauge()?.resident_mebibytes();
    let mut watchers = stage.watchers(viewers)?;
    let each = (stage.gauge()?.resident_mebibytes() - before) * 1024.0 / viewers as f64;
    stage.commit_for(&watchers, Duration::from_secs(2), FLAT_OUT)?;
    watchers.order("reset")?;
    let (gauge, began) = (stage.gauge()?, Instant::now());
    let done = stage.commit_for(&watchers, WATCHED, FLAT_OUT)?;
    let (cpu, took) = (gauge.seconds()?, began.elapsed().as_secs_f64());
    let messages = watchers.report(done)?.count("messages");
    watchers.until("at_end", viewers, done)?;
    let seen = watchers.report(done)?;
    let per_core = messages / cpu;
    let ratio = per_core / reference;
    report.push(Case {
        name: format!("{viewers} viewers, {topics} topics, flat out"),
        figures: vec![
            ("per_core", per_core, "messages/s"),
            ("delivered", messages / took, "messages/s"),
            ("cpu", 100.0 * cpu / took, "% of a core"),
            ("connection", each, "KiB resident"),
            ("p50", seen.count("p50_ms"), "ms"),
            ("p99", seen.count("p99_ms"), "ms"),
            ("missing", viewers as f64 - seen.count("at_end"), "viewers without the last value"),
        ],
        reference: format!("a bare fan-out ({reference:.0} messages/s of a core)"),
        ratio: Some(ratio),
        bar: format!(
            ">= {PER_CORE} messages/s of a core or {SHARE} of it, <= {CONNECTION_KIB} KiB a connection, none missing"
        ),
        holds: Some(
            (per_core >= PER_CORE || ratio >= SHARE)
                && each <= CONNECTION_KIB
                && seen.count("backwards") == 0.0,
        ),
    });
    Ok(())
}

/// Messages per second of a core that a bare fan-out delivers, four times a second.
fn reference(viewers: usize) -> Result<f64> {
    let base = micros()?;
    let program = std::env::current_exe()?.with_file_name("fanout");
    let mut command = Command::new(program);
    command
        .args([base.to_string(), "250000".to_owned()])
        .stderr(Stdio::piped());
    let mut fanout = Fanout(command.spawn().context("starting the fan-out")?);
    let said = fanout.0.stderr.take().context("it says nothing")?;
    let address = format!("127.0.0.1:{}", listening_port(said)?);
    let topics = ["upload:0190a1b2-0000-7000-8000-000000000001".to_owned()];
    let time = (base, FINE_MICROS);
    let mut watchers = Watchers::start((&address, "-"), viewers, &topics, time)?;
    watchers.order("reset")?;
    let gauge = Gauge::start(fanout.0.id())?;
    std::thread::sleep(WATCHED);
    let messages = watchers.report(0)?.count("messages");
    Ok(messages / gauge.seconds()?)
}

/// The reference process; ended when dropped.
struct Fanout(Child);

impl Drop for Fanout {
    fn drop(&mut self) {
        // Nothing is left to do about a process that cannot be ended.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Memory that viewers take who do not read.
fn stalled(report: &mut Report) -> Result<()> {
    let stage = Stage::with(1)?;
    let mut watchers = stage.watchers(SOME)?;
    stage.commit_for(&watchers, Duration::from_secs(2), FLAT_OUT)?;
    watchers.order("stall")?;
    let gauge = stage.gauge()?;
    // Less than the 40 s after which they count as gone.
    stage.commit_for(&watchers, 3 * WATCHED, FLAT_OUT)?;
    let added = gauge.added_mebibytes()?;
    report.push(Case {
        name: format!("{SOME} viewers who stop reading, 30 s"),
        figures: vec![
            ("resident_added", added, "MiB"),
            ("each", added * 1024.0 / SOME as f64, "KiB"),
        ],
        reference: "itself before".to_owned(),
        ratio: None,
        bar: format!("<= {STALLED_MIB} MiB more"),
        holds: Some(added <= STALLED_MIB),
    });
    Ok(())
}

/// The server is killed and started, and everybody comes back.
fn storm(report: &mut Report) -> Result<()> {
    let mut stage = Stage::with(TOPICS)?;
    let mut watchers = stage.watchers(MANY)?;
    let done = stage.commit_for(&watchers, Duration::from_secs(1), FLAT_OUT)?;
    watchers.until("at_end", MANY, done)?;
    stage.site.database().execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$",
    )?;
    stage.site.kill()?;
    let log = server_log().context("where is the log of the database?")?;
    let statements = |what: &str| -> Result<usize> {
        let log = std::fs::read(&log)?;
        let log = String::from_utf8_lossy(&log);
        let said = log.lines().filter(|line| line.contains(what));
        Ok(said.count())
    };
    let before = (statements("pg_control_system()")?, statements("LOG:  ")?);
    stage.site.run()?;
    let done = watchers.now()?;
    stage.commit(done)?;
    let took = watchers.until("recovered", MANY, done)?.as_secs_f64();
    watchers.until("at_end", MANY, done)?;
    let reads = statements("pg_control_system()")? - before.0;
    let all = statements("LOG:  ")? - before.1;
    ensure!(
        reads > 0,
        "the log of the database does not tell statements"
    );
    report.push(Case {
        name: format!("{MANY} viewers of {TOPICS} topics come back after a crash"),
        figures: vec![
            ("recovered", took, "s after the server was ready"),
            ("state_queries", reads as f64, "reads"),
            ("statements", all as f64 / MANY as f64, "a viewer"),
        ],
        reference: "itself".to_owned(),
        ratio: None,
        bar: format!("<= {RECOVERED_S} s, <= topics + 10 reads, all with their position"),
        holds: Some(took <= RECOVERED_S && reads <= TOPICS + 10),
    });
    Ok(())
}
