//! `takeover`: how soon a newcomer goes on where a connection has stalled, in one
//! process and across two, and what that costs the server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method, Response, StatusCode};
use serde_json::{Value, json};
use slipway_tests::{Site, Tus, Who, pieces, random_bytes};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const ROUNDS: usize = 100;

/// Rounds before memory counts: buffers of that many connections stay around.
const WARM_UP_ROUNDS: usize = 20;

/// What a stalled sender has sent, and what the newcomer adds.
const SENT: usize = 256 * 1024;
const ADDED: usize = 64 * 1024;

/// From the newcomer's first byte to the answer to its bytes, and to the end of the
/// old connection.
const ONE_PROCESS_MAX: Duration = Duration::from_millis(250);
const TWO_PROCESSES_MAX: Duration = Duration::from_secs(1);

/// Resident memory that all take-overs together may add.
const MEMORY_MAX: u64 = 8 * 1024 * 1024;

/// Connections that stall at once, for how long, and the CPU time they may take: a
/// fiftieth of one processor.
const IDLE_CONNECTIONS: usize = 100;
const IDLE_FOR: Duration = Duration::from_secs(10);
const IDLE_CPU_MAX: Duration = Duration::from_millis(200);

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run() -> Result<Vec<Value>> {
    let one = Site::start()?;
    let other = one.start_beside()?;
    let who = one.who("dev@example.com", "member")?;
    Ok(vec![
        rounds(&one, &one, &who, "one process", ONE_PROCESS_MAX).await?,
        rounds(&one, &other, &who, "two processes", TWO_PROCESSES_MAX).await?,
        idle(&one, &who).await?,
    ])
}

/// How long a newcomer waited for its answer, and for the old connection to end.
struct Taken {
    answered: Duration,
    freed: Duration,
}

async fn rounds(old: &Site, new: &Site, who: &Who, case: &str, max: Duration) -> Result<Value> {
    let file = random_bytes(SENT + ADDED, 1);
    let (mut answered, mut freed) = (Vec::new(), Vec::new());
    let mut before = 0;
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        if round == WARM_UP_ROUNDS {
            before = old.memory("VmRSS")?;
        }
        let taken = take_over(old, new, who, &file).await?;
        if round >= WARM_UP_ROUNDS {
            answered.push(taken.answered);
            freed.push(taken.freed);
        }
    }
    let added = old.memory("VmRSS")?.saturating_sub(before);
    let (answered_p95, freed_p95) = (share(&mut answered, 95)?, share(&mut freed, 95)?);
    let slower = answered_p95.max(freed_p95);
    let milliseconds = |time: Duration| json!({"value": time.as_secs_f64() * 1e3, "unit": "ms"});
    Ok(json!({
        "case": format!("{ROUNDS} stalled connections taken over, {case}"),
        "figures": {
            "answered_p50": milliseconds(share(&mut answered, 50)?),
            "answered_p95": milliseconds(answered_p95),
            "answered_max": milliseconds(share(&mut answered, 100)?),
            "freed_p50": milliseconds(share(&mut freed, 50)?),
            "freed_p95": milliseconds(freed_p95),
            "freed_max": milliseconds(share(&mut freed, 100)?),
            "memory_before": {"value": before, "unit": "bytes"},
            "memory_added": {"value": added, "unit": "bytes"},
        },
        "reference": format!("p95 below {} ms; at most 8 MiB more resident", max.as_millis()),
        "ratio": slower.as_secs_f64() / max.as_secs_f64(),
        "bar": 1.0,
        "holds": slower < max && added <= MEMORY_MAX,
    }))
}

async fn take_over(old: &Site, new: &Site, who: &Who, file: &Bytes) -> Result<Taken> {
    let upload = Tus::create(&old.url(), who, file.len(), "").await?;
    let mut newcomer = upload.clone();
    newcomer.url = upload.url.replace(&old.url(), &new.url());
    let stalled = stall(old, &upload, file.slice(..SENT)).await?;
    let freed = tokio::spawn(async move {
        let answer = timeout(PATIENCE, stalled).await???;
        ensure!(answer.status() == StatusCode::LOCKED, "{}", answer.status());
        Ok(Instant::now())
    });

    let began = Instant::now();
    let offset = newcomer.offset().await?;
    let answer = newcomer.patch(offset, file.slice(offset..)).await?;
    answer.error_for_status()?;
    let answered = began.elapsed();

    let freed = freed.await??.duration_since(began);
    ensure!(newcomer.offset().await? == file.len(), "bytes were lost");
    newcomer.request(Method::DELETE).send().await?;
    Ok(Taken { answered, freed })
}

/// Sends some bytes and then nothing; returns when all have been handed over and the
/// server has claimed the upload for them: were it to do so later, this connection
/// would be the newcomer.
async fn stall(site: &Site, upload: &Tus, first: Bytes) -> Result<JoinHandle<Result<Response>>> {
    let (sent, mut all_sent) = tokio::sync::watch::channel(0);
    let length = first.len();
    let sending = upload.clone();
    let stalled = tokio::spawn(async move {
        let first = pieces(first, 16 * 1024, move |bytes| {
            sent.send_modify(|sent| *sent += bytes)
        });
        let body = Body::wrap_stream(first.chain(stream::pending()));
        sending.patch(0, body).await
    });
    timeout(PATIENCE, all_sent.wait_for(|sent| *sent == length)).await??;
    let claimed = format!(
        "SELECT 'it' AS value FROM uploads WHERE id = '{}' AND writer > 0",
        upload.id()
    );
    let began = Instant::now();
    while site.database().query(&claimed)?.is_empty() {
        ensure!(began.elapsed() < PATIENCE, "the server did not begin");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(stalled)
}

/// Connections that only sit there.
async fn idle(site: &Site, who: &Who) -> Result<Value> {
    let mut stalled = Vec::new();
    let mut uploads = Vec::new();
    for _ in 0..IDLE_CONNECTIONS {
        let upload = Tus::create(&site.url(), who, 2 * SENT, "").await?;
        stalled.push(stall(site, &upload, random_bytes(SENT, 2)).await?);
        uploads.push(upload);
    }
    // What was sent is stored a second later; then nothing is left to do.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (memory_before, cpu_before) = (site.memory("VmRSS")?, cpu(site)?);
    tokio::time::sleep(IDLE_FOR).await;
    let used = cpu(site)?.saturating_sub(cpu_before);
    let added = site.memory("VmRSS")?.saturating_sub(memory_before);
    for upload in &uploads {
        upload.request(Method::DELETE).send().await?;
    }
    for stalled in stalled {
        let answer = timeout(PATIENCE, stalled).await???;
        ensure!(answer.status() == StatusCode::LOCKED, "{}", answer.status());
    }
    Ok(json!({
        "case": format!("{IDLE_CONNECTIONS} stalled connections for {} s", IDLE_FOR.as_secs()),
        "figures": {
            "cpu": {"value": used.as_secs_f64(), "unit": "s"},
            "memory": {"value": memory_before, "unit": "bytes"},
            "memory_added": {"value": added, "unit": "bytes"},
        },
        "reference": "at most 0.2 s of CPU and 8 MiB more resident",
        "ratio": used.as_secs_f64() / IDLE_CPU_MAX.as_secs_f64(),
        "bar": 1.0,
        "holds": used <= IDLE_CPU_MAX && added <= MEMORY_MAX,
    }))
}

/// CPU time of the server so far (proc_pid_stat(5), fields 14 and 15, of 10 ms each).
fn cpu(site: &Site) -> Result<Duration> {
    let pid = site.pid().context("the server is not running")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>())
        .sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The time that `percent` of all stay within.
fn share(times: &mut [Duration], percent: usize) -> Result<Duration> {
    times.sort_unstable();
    let last = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(last).copied().context("nothing was measured")
}
