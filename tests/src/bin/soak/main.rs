//! The fault campaigns at full length, one or all; run by `cargo xtask soak`. Each
//! prints what it measured and writes `target/soak/NAME.json`.
//!
//! It fails when a promise is broken, never because the machine is slow.

#![expect(clippy::print_stdout, reason = "the report is what it is run for")]

mod large;
mod takeover;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use slipway_tests::faults::{Drain, Ends, Flood, Kills, Two};
use slipway_tests::{Storage, stores};

/// Every campaign, in the order in which all are run.
const CAMPAIGNS: [&str; 7] = [
    "kills", "ends", "two", "takeover", "flood", "large", "drain",
];

const KILLS: usize = 100;
const ENDS: usize = 20;

/// Two files each, ours and the server's, and room below the 20,000 that a machine
/// allows a process.
const VIEWERS: usize = 5000;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted = std::env::args().nth(1);
    let wanted = wanted.as_deref();
    if let Some(unknown) = wanted.filter(|name| !CAMPAIGNS.contains(name)) {
        let known = CAMPAIGNS.join(", ");
        bail!("there is no campaign {unknown:?}; there are: {known}");
    }
    let mut broken = Vec::new();
    for name in CAMPAIGNS {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let outcome = run(name).await.and_then(|cases| conclude(name, &cases));
        if let Err(error) = outcome {
            println!("{name}: {error:#}");
            broken.push(name);
        }
    }
    ensure!(broken.is_empty(), "not held: {}", broken.join(", "));
    Ok(())
}

async fn run(name: &str) -> Result<Vec<Value>> {
    match name {
        "kills" => kills().await,
        "ends" => ends().await,
        "two" => two().await,
        "takeover" => takeover::run().await,
        "flood" => flood().await,
        "drain" => drain().await,
        _ => large::run().await,
    }
}

/// Repeats a campaign as it was, but for what the machine does.
fn seed() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

async fn kills() -> Result<Vec<Value>> {
    let mut cases = Vec::new();
    for store in stores() {
        let (began, seed) = (Instant::now(), seed()?);
        let campaign = Kills {
            kills: KILLS,
            at_once: 4,
            storage: Storage::of(store)?,
            seed,
        };
        let most = campaign.sent_again_max();
        let killed = campaign
            .run()
            .await
            .with_context(|| format!("store {store}"))?;
        cases.push(json!({
            "case": format!("{KILLS} kills at random moments, {store}"),
            "figures": {
                "seconds": {"value": began.elapsed().as_secs_f64(), "unit": "s"},
                "files": {"value": killed.files, "unit": "files"},
                "bytes": {"value": killed.bytes, "unit": "bytes"},
                "sent_again": {"value": killed.sent_again, "unit": "bytes"},
                "looks": {"value": killed.looks, "unit": "uploads compared with their store"},
                "seed": {"value": seed, "unit": "number"},
            },
            "reference": "acknowledged <= in the row <= in the store after each, every file read \
                back, else it fails; the ratio is of one request sent again a sender and kill",
            "ratio": killed.sent_again as f64 / most as f64,
            "bar": 1.0,
            "holds": killed.looks > 0 && killed.files > 0 && killed.sent_again <= most,
        }));
    }
    Ok(cases)
}

async fn ends() -> Result<Vec<Value>> {
    let seed = seed()?;
    let ended = Ends { ends: ENDS, seed }.run().await?;
    Ok(vec![json!({
        "case": format!("{ENDS} times SIGTERM in the middle of a PATCH"),
        "figures": {
            "longest": {"value": ended.longest.as_secs_f64(), "unit": "s"},
            "kept": {"value": ended.kept, "unit": "bytes"},
            "seed": {"value": seed, "unit": "number"},
        },
        "reference": "every byte received is kept; exit 0 within 20 s",
        "ratio": ended.longest.as_secs_f64() / 20.0,
        "bar": 1.0,
        "holds": true,
    })])
}

async fn two() -> Result<Vec<Value>> {
    let (began, seed) = (Instant::now(), seed()?);
    let campaign = Two {
        files: 16,
        file_bytes: 48 * 1024 * 1024,
        seed,
    };
    let weathered = campaign.run().await?;
    Ok(vec![json!({
        "case": "two processes behind a proxy that cuts, 16 x 48 MiB",
        "figures": {
            "seconds": {"value": began.elapsed().as_secs_f64(), "unit": "s"},
            "cuts": {"value": weathered.cuts, "unit": "connections"},
            "connections": {"value": weathered.connections, "unit": "of each process"},
            "sent_again": {"value": weathered.sent_again, "unit": "bytes"},
            "seed": {"value": seed, "unit": "number"},
        },
        "reference": "every file read back, through either process, else it fails; the ratio is \
            of what a connection may bring before a cut",
        "ratio": weathered.sent_again as f64 / weathered.sent_again_max() as f64,
        "bar": 1.0,
        "holds": weathered.cuts > 0 && weathered.sent_again <= weathered.sent_again_max(),
    })])
}

async fn flood() -> Result<Vec<Value>> {
    let mut cases = Vec::new();
    for (scattered, case) in [
        (
            false,
            "200 sign-ins a second for 30 s from one network, 4 uploads beside",
        ),
        (
            true,
            "the same, each from another network and for another account",
        ),
    ] {
        let flood = Flood {
            rate: 200,
            lasts: Duration::from_secs(30),
            scattered,
        };
        let flooded = flood.run().await?;
        let ratio = flooded.flooded.as_secs_f64() / flooded.calm.as_secs_f64();
        cases.push(json!({
            "case": case,
            "figures": {
                "calm_p99": {"value": flooded.calm.as_secs_f64() * 1000.0, "unit": "ms a chunk"},
                "flooded_p99": {"value": flooded.flooded.as_secs_f64() * 1000.0, "unit": "ms a chunk"},
                "chunks": {"value": flooded.chunks, "unit": "chunks of 256 KiB in the flood"},
                "memory_added": {"value": flooded.added, "unit": "bytes"},
                "answers": {"value": flooded.answers, "unit": "sign-ins by status"},
            },
            "reference": "memory bounded and every sign-in answered 401, 429 or 503, else it fails; \
                the ratio is of the 99th percentile of a chunk's time, in the flood and before it",
            "ratio": ratio,
            "bar": 2.0,
            "holds": ratio <= 2.0,
        }));
    }
    Ok(cases)
}

async fn drain() -> Result<Vec<Value>> {
    let drained = Drain { viewers: VIEWERS }.run().await?;
    Ok(vec![json!({
        "case": format!("SIGTERM while {VIEWERS} watch"),
        "figures": {
            "went_after": {"value": drained.took.as_secs_f64(), "unit": "s"},
            "closed_at_once": {"value": drained.closed_at_once, "unit": "viewers in one second"},
        },
        "reference": "each is told, then closed with 1012 at a moment of its own; exit 0 within 20 s",
        "ratio": drained.took.as_secs_f64() / 20.0,
        "bar": 1.0,
        "holds": drained.closed_at_once <= VIEWERS / 4,
    })])
}

fn conclude(name: &str, cases: &[Value]) -> Result<()> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let report = json!({"name": name, "at": at, "cases": cases});
    let folder = report_folder();
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.json")), format!("{report:#}\n"))?;
    println!("{report:#}");
    ensure!(
        cases.iter().all(|case| case["holds"] == true),
        "a bar was not held"
    );
    Ok(())
}

/// Where reports go: `cargo xtask soak` names the folder, because cargo may have
/// been told to build elsewhere.
#[expect(
    clippy::disallowed_methods,
    reason = "a test program has no configuration to read"
)]
fn report_folder() -> PathBuf {
    std::env::var_os("SLIPWAY_SOAK_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/soak"),
        PathBuf::from,
    )
}
