//! What has to be done from time to time and belongs to no request.
//!
//! Every step is small, bounded and may be done by several processes at once.

use std::time::Duration;

use slipway_core::StoreKind;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::Ingest;

/// Pause between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(5);

/// Steps of sweeping a store in one round, so that other work gets its turn.
const SWEEPS_A_ROUND: usize = 50;

/// How long a removed upload answers "gone" before it is unknown.
const REMEMBER_REMOVED: time::Duration = time::Duration::days(30);

/// How long the audit trail goes back.
const REMEMBER_EVENTS: time::Duration = time::Duration::days(365);

/// Rounds until one that also looks at what changes slowly: about an hour.
const ROUNDS_BETWEEN_SLOW: u32 = 720;

/// Tidies up until told to stop.
pub(super) async fn run(ingest: &Ingest, mut stop: watch::Receiver<bool>) {
    let mut round: u32 = 0;
    while !*stop.borrow() {
        if let Err(fault) = tidy_up(ingest, round.is_multiple_of(ROUNDS_BETWEEN_SLOW)).await {
            let fault = format!("{fault:#}");
            tracing::warn!(fault, "tidying up failed; it is tried again");
        }
        round = round.wrapping_add(1);
        // An error means that nobody can stop us any more: then it is time too.
        let stopped = tokio::time::timeout(ROUND_EVERY, stop.wait_for(|stop| *stop)).await;
        if stopped.is_ok() {
            return;
        }
    }
}

async fn tidy_up(ingest: &Ingest, slow: bool) -> anyhow::Result<()> {
    let abandoned = ingest.db.job_abandon().await?;
    if abandoned > 0 {
        tracing::warn!(
            abandoned,
            "{abandoned} jobs failed because their workers went silent"
        );
    }
    let expired = ingest.db.upload_expire().await?;
    if expired > 0 {
        tracing::info!(expired, "{expired} unfinished uploads expired");
    }
    let parts = ingest.db.upload_parts_expire().await?;
    if parts > 0 {
        tracing::info!(parts, "{parts} parts of concatenations removed");
    }
    for kind in StoreKind::ALL {
        let store = ingest.stores.of(*kind);
        for _ in 0..SWEEPS_A_ROUND {
            if store.sweep().await? == 0 {
                break;
            }
        }
    }
    if slow {
        ingest.db.session_sweep(ingest.session_limits()).await?;
        ingest.db.sign_in_attempt_sweep().await?;
        ingest
            .db
            .security_event_forget(OffsetDateTime::now_utc() - REMEMBER_EVENTS)
            .await?;
        ingest
            .db
            .upload_forget(OffsetDateTime::now_utc() - REMEMBER_REMOVED)
            .await?;
    }
    Ok(())
}
