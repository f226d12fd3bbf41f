//! The cases of `bench uploads`.
//!
//! It never counts jobs: they are worked by nobody while it runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slipway_db::testing::TestDatabase;
use slipway_tests::{Site, Storage, Who, listening_port};

use crate::gauge::Gauge;
use crate::load::{Load, Receiver, Sent, Source, send};
use crate::report::{Case, Report};

/// Each case and its reference run so often, in turns; the median counts.
const ROUNDS: usize = 3;

const MIB: usize = 1024 * 1024;

/// One file in one request.
const ONE: Load = load(1, 1024 * MIB, 1024 * MIB, 1);
/// Several at once.
const SIXTEEN: Load = load(16, 64 * MIB, 64 * MIB, 16);
/// A client that cuts a file into pieces.
const PIECES: Load = load(1, 1024 * MIB, 8 * MIB, 1);
/// A client that cuts it into crumbs.
const CRUMBS: Load = load(1, 256 * MIB, 256 * 1024, 1);
/// Many small files.
const SMALL: Load = load(400, MIB, MIB, 8);

/// Figures of other servers on this kind of machine, MiB/s: `@tus/server` 2.4.5 and
/// rustus 0.5.10, which makes nothing durable and locks nothing.
const CRUMBS_OF_OTHERS: (f64, f64) = (139.0, 604.0);
const SMALL_OF_OTHERS: (f64, f64) = (242.0, 977.0);

/// How much faster than `@tus/server` requests and small files are to be.
const TIMES_FASTER: f64 = 2.0;
/// The share of a reference that is to be reached.
const SHARE: f64 = 0.8;
/// Processor seconds for each GiB on a disk, hashing included, on a machine where the
/// sink takes `CPU_SINK`; where it takes more, so may Slipway.
const CPU_HASHING: f64 = 1.1;
/// The same without.
const CPU_PLAIN: f64 = 0.5;
/// What the sink took on the machine for which the two above were set.
const CPU_SINK: f64 = 0.33;
/// Resident MiB that one upload may add.
const ADDED_MIB: f64 = 4.0;

/// What is sent before anything is measured, so that what a process needs for its first
/// upload ever, above all its own code, is not counted as the upload's.
const FIRST: Load = load(1, 64 * 1024, 64 * 1024, 1);

/// For somewhat longer than this the server believes in a connection without a look.
const BELIEVED: Duration = Duration::from_millis(1500);

const fn load(files: usize, file_bytes: usize, request_bytes: usize, at_once: usize) -> Load {
    Load {
        files,
        file_bytes,
        request_bytes,
        at_once,
    }
}

/// Runs every case that is wanted.
pub(crate) fn measure(cases: &mut Report) -> Result<()> {
    let source = Source::new();
    on_disk(&source, cases)?;
    in_postgres(&source, cases)?;
    without_durability(&source, cases)
}

fn on_disk(source: &Source, cases: &mut Report) -> Result<()> {
    let mut sink = Sink::start(&folder()?)?;
    let plain = Subject::start(
        "disk",
        &folder()?,
        &[("SLIPWAY__UPLOADS__HASH", "inspection")],
        source,
    )?;
    let hashing = Subject::start("disk", &folder()?, &[], source)?;
    for (name, load) in [("1 x 1 GiB", ONE), ("16 x 64 MiB", SIXTEEN)] {
        if !cases.wants(&format!("disk, {name}")) {
            continue;
        }
        let (mut beside, mut without, mut with) = (vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            beside.push(sink.take(load, source)?);
            without.push(plain.take(load, source)?);
            with.push(hashing.take(load, source)?);
        }
        let (beside, without, with) = (median(beside), median(without), median(with));
        let reference = format!(
            "a raw sink with fdatasync ({:.0} MiB/s, {:.2} CPU s/GiB)",
            beside.rate, beside.cpu
        );
        let ratio = without.rate / beside.rate;
        let slower = (beside.cpu / CPU_SINK).max(1.0);
        let (cpu_plain, cpu_hashing) = (CPU_PLAIN * slower, CPU_HASHING * slower);
        cases.push(Case {
            holds: Some(ratio >= SHARE && without.cpu <= cpu_plain && without.added <= added(load)),
            bar: format!(
                "rate >= {SHARE} of it, <= {cpu_plain:.2} CPU s/GiB ({CPU_PLAIN} x {slower:.2}), \
                 <= {} MiB more",
                added(load)
            ),
            ..without.case(
                format!("disk, {name}, hashed later"),
                reference.clone(),
                ratio,
            )
        });
        let ratio = with.rate / beside.rate;
        cases.push(Case {
            holds: Some(with.cpu <= cpu_hashing && with.added <= added(load)),
            bar: format!(
                "<= {cpu_hashing:.2} CPU s/GiB ({CPU_HASHING} x {slower:.2}), <= {} MiB more",
                added(load)
            ),
            ..with.case(format!("disk, {name}, SHA-256"), reference, ratio)
        });
    }
    for (name, load, others) in [
        ("disk, 1 GiB in 8 MiB PATCHes", PIECES, None),
        (
            "disk, 256 MiB in 256 KiB PATCHes",
            CRUMBS,
            Some(CRUMBS_OF_OTHERS),
        ),
    ] {
        if cases.wants(name) {
            cases.push(many_requests(name, &hashing, load, others, source)?);
        }
    }
    let name = "disk, 400 x 1 MiB, 8 at once";
    if cases.wants(name) {
        let mut small = many_requests(name, &hashing, SMALL, Some(SMALL_OF_OTHERS), source)?;
        small.figures.extend(statements("disk", source)?);
        cases.push(small);
    }
    sink.stop()
}

fn in_postgres(source: &Source, cases: &mut Report) -> Result<()> {
    let subject = Subject::start("postgres", &folder()?, &[], source)?;
    for (name, load) in [("1 x 1 GiB", ONE), ("16 x 64 MiB", SIXTEEN)] {
        let name = format!("postgres, {name}, SHA-256");
        if !cases.wants(&name) {
            continue;
        }
        let (mut raw, mut measured) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            raw.push(raw_inserts(load)?);
            measured.push(subject.take(load, source)?);
        }
        raw.sort_by(f64::total_cmp);
        let (raw, measured) = (raw[ROUNDS / 2], median(measured));
        let ratio = measured.rate / raw;
        let reference = format!("raw inserts of 4 MiB over one connection ({raw:.0} MiB/s)");
        cases.push(Case {
            holds: Some(ratio >= SHARE && measured.added <= added(load)),
            bar: format!("rate >= {SHARE} of it, <= {} MiB more", added(load)),
            ..measured.case(name, reference, ratio)
        });
    }
    for (name, load) in [
        ("postgres, 1 GiB in 8 MiB PATCHes", PIECES),
        ("postgres, 256 MiB in 256 KiB PATCHes", CRUMBS),
    ] {
        if cases.wants(name) {
            cases.push(many_requests(name, &subject, load, None, source)?);
        }
    }
    let name = "postgres, 400 x 1 MiB, 8 at once";
    if cases.wants(name) {
        let mut small = many_requests(name, &subject, SMALL, None, source)?;
        small.figures.extend(statements("postgres", source)?);
        cases.push(small);
    }
    Ok(())
}

/// The price of durability: the same on a disk of memory, where a sync is free, and a
/// database that does not wait for its log.
fn without_durability(source: &Source, cases: &mut Report) -> Result<()> {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        return Ok(());
    }
    let subject = Subject::start("disk", memory, &[], source)?;
    subject.configure("synchronous_commit = off")?;
    for (name, load, others) in [
        (
            "nothing durable, 256 MiB in 256 KiB PATCHes",
            CRUMBS,
            CRUMBS_OF_OTHERS,
        ),
        (
            "nothing durable, 400 x 1 MiB, 8 at once",
            SMALL,
            SMALL_OF_OTHERS,
        ),
    ] {
        if !cases.wants(name) {
            continue;
        }
        let mut case = many_requests(name, &subject, load, Some(others), source)?;
        // It shows a price and is not how anybody runs it.
        (case.bar, case.holds) = ("none".to_owned(), None);
        cases.push(case);
    }
    Ok(())
}

fn many_requests(
    name: &str,
    subject: &Subject,
    load: Load,
    others: Option<(f64, f64)>,
    source: &Source,
) -> Result<Case> {
    let mut measured = Vec::new();
    for _ in 0..ROUNDS {
        measured.push(subject.take(load, source)?);
    }
    let measured = median(measured);
    let Some((tus, rustus)) = others else {
        let reference = "itself".to_owned();
        return Ok(Case {
            ratio: None,
            holds: None,
            bar: "none".to_owned(),
            ..measured.case(name.to_owned(), reference, 1.0)
        });
    };
    let ratio = measured.rate / tus;
    let reference = format!(
        "@tus/server ({tus} MiB/s; {:.2} of rustus, {rustus} MiB/s)",
        measured.rate / rustus
    );
    Ok(Case {
        holds: Some(ratio >= TIMES_FASTER),
        bar: format!("{TIMES_FASTER} times as fast"),
        ..measured.case(name.to_owned(), reference, ratio)
    })
}

fn added(load: Load) -> f64 {
    ADDED_MIB * load.at_once as f64
}

/// What one run showed.
struct Measured {
    rate: f64,
    cpu: f64,
    added: f64,
    resident: f64,
    p50: f64,
    p99: f64,
}

impl Measured {
    fn of(load: Load, sent: &Sent, gauge: &Gauge) -> Result<Self> {
        Ok(Self {
            rate: load.mebibytes() / sent.took.as_secs_f64(),
            cpu: gauge.seconds()? / (load.mebibytes() / 1024.0),
            added: gauge.added_mebibytes()?,
            resident: gauge.resident_mebibytes(),
            p50: sent.percentile(0.5),
            p99: sent.percentile(0.99),
        })
    }

    fn case(self, name: String, reference: String, ratio: f64) -> Case {
        Case {
            name,
            figures: vec![
                ("rate", self.rate, "MiB/s"),
                ("cpu", self.cpu, "s/GiB"),
                ("resident_before", self.resident, "MiB"),
                ("resident_added", self.added, "MiB"),
                ("request_p50", self.p50, "ms"),
                ("request_p99", self.p99, "ms"),
            ],
            reference,
            ratio: Some(ratio),
            bar: String::new(),
            holds: None,
        }
    }
}

/// The run with the rate in the middle.
fn median(mut measured: Vec<Measured>) -> Measured {
    measured.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    measured.swap_remove(measured.len() / 2)
}

/// Slipway on a store of its own.
struct Subject {
    site: Site,
    who: Who,
    hashes: bool,
    storage: Storage,
}

impl Subject {
    fn start(
        store: &str,
        folder: &Path,
        settings: &[(&str, &str)],
        source: &Source,
    ) -> Result<Self> {
        let storage = Storage::under(folder, store)?;
        let mut all = storage.settings();
        all.push(("SLIPWAY__JOBS__INLINE", "false"));
        all.extend(settings);
        let site = Site::start_with(&all)?;
        let subject = Self {
            who: site.who("bench@example.com", "member")?,
            site,
            hashes: settings.is_empty(),
            storage,
        };
        subject.take(FIRST, source)?;
        Ok(subject)
    }

    /// Sets something of the database for the connections to come, and makes new ones.
    fn configure(&self, setting: &str) -> Result<()> {
        self.site.database().execute(&format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ))?;
        // A connection that was used within a second is believed to be there.
        std::thread::sleep(BELIEVED);
        Ok(())
    }

    fn take(&self, load: Load, source: &Source) -> Result<Measured> {
        let gauge = Gauge::start(self.site.pid().context("the server is not running")?)?;
        let to = Receiver::Slipway(self.site.url(), self.who.token.clone());
        let sent = send(&to, load, source)?;
        let measured = Measured::of(load, &sent, &gauge)?;
        self.check(load, source)?;
        // Space for the next; what is removed here is swept by nobody.
        self.site
            .database()
            .execute("TRUNCATE uploads CASCADE; CHECKPOINT")?;
        if let Some(folder) = self.storage.folder() {
            clear(folder)?;
        }
        Ok(measured)
    }

    /// Every file is there, with the hash of what was sent.
    fn check(&self, load: Load, source: &Source) -> Result<()> {
        let found = self.site.database().query(
            "SELECT state || ' ' || stored_bytes || ' ' || coalesce(encode(sha256, 'hex'), '') || \
             ' ' || count(*) AS value FROM uploads GROUP BY state, stored_bytes, sha256",
        )?;
        let expected = if self.hashes {
            let sha256 = load.sha256(source);
            format!("stored {} {sha256} {}", load.file_bytes, load.files)
        } else {
            format!("verifying {}  {}", load.file_bytes, load.files)
        };
        ensure!(found == [expected.as_str()], "{found:?} is not {expected}");
        Ok(())
    }
}

/// The reference process.
struct Sink {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Sink {
    fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("sink");
        std::fs::create_dir_all(&folder)?;
        let program = std::env::current_exe()?.with_file_name("sink");
        let mut command = Command::new(program);
        command.arg(&folder).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting the sink")?;
        let said = child.stderr.take().context("the sink says nothing")?;
        let port = listening_port(said)?;
        Ok(Self {
            child,
            address: format!("127.0.0.1:{port}"),
            folder,
        })
    }

    fn take(&self, load: Load, source: &Source) -> Result<Measured> {
        let gauge = Gauge::start(self.child.id())?;
        let sent = send(&Receiver::Sink(self.address.clone()), load, source)?;
        let measured = Measured::of(load, &sent, &gauge);
        clear(&self.folder)?;
        measured
    }

    fn stop(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Deletes what one run wrote, so that the next is not the one that meets memory which
/// nothing was kept in before: on a virtual machine that costs more than the writing.
fn clear(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(path)?;
        } else {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// MiB/s of inserting the bytes of `load` into a table, and nothing else.
fn raw_inserts(load: Load) -> Result<f64> {
    let chunk = slipway_tests::random_bytes(4 * MIB, 7);
    let database = TestDatabase::create()?;
    let chunks = load.files * load.file_bytes / chunk.len();
    let took = database.time_inserts(&chunk, chunks)?;
    Ok(load.mebibytes() / took.as_secs_f64())
}

/// Statements that one small upload costs, counted by the database itself.
fn statements(store: &str, source: &Source) -> Result<Option<(&'static str, f64, &'static str)>> {
    let Some(log) = server_log() else {
        return Ok(None);
    };
    let subject = Subject::start(store, &folder()?, &[], source)?;
    subject.configure("log_statement = ''all''")?;
    let count = || -> Result<usize> {
        let log = std::fs::read(&log)?;
        let log = String::from_utf8_lossy(&log);
        let said =
            |line: &&str| line.contains("LOG:  statement: ") || line.contains("LOG:  execute ");
        Ok(log.lines().filter(said).count())
    };
    let before = count()?;
    subject.take(SMALL, source)?;
    let each = (count()? - before) as f64 / SMALL.files as f64;
    Ok(Some(("statements", each, "an upload")))
}

/// The log of the database server, where `cargo xtask bench` says where it is.
#[expect(
    clippy::disallowed_methods,
    reason = "a test program has no configuration to read"
)]
pub(crate) fn server_log() -> Option<PathBuf> {
    std::env::var_os("SLIPWAY_PG_LOG").map(PathBuf::from)
}

/// Where files go: beside the database, on the same disk.
fn folder() -> Result<PathBuf> {
    let folder = std::env::current_exe()?;
    let folder = folder.ancestors().nth(2).context("no target folder")?;
    Ok(folder.join("bench"))
}
