//! `slipway work`: a process that works jobs and serves nobody.

use std::sync::Arc;

use anyhow::Context;
use slipway_db::Listener;
use slipway_ingest::Stop;
use slipway_realtime::Hub;

use crate::lifetime::asked_to_go;
use crate::open::Opened;
use crate::pump::Pump;

/// Works jobs until asked to go; the jobs in hand are put back with a checkpoint.
pub(crate) async fn run(opened: &Opened) -> anyhow::Result<()> {
    let (db, ingest) = opened.ingest().context("starting the database threads")?;
    let listener = Listener::start(&opened.database).context("starting to listen")?;
    // Nobody watches here; the pump tells the processes where somebody does.
    let pump = Pump::new(db, Hub::default(), ingest.clone(), listener);
    let stop = Stop::new();
    let working = slipway_ingest::work(ingest, stop.clone());
    let stopping = async {
        let signal = asked_to_go().await?;
        tracing::info!("leaving: {signal}");
        stop.stop();
        anyhow::Ok(())
    };
    tracing::info!(
        "working jobs, {} at once",
        Arc::clone(&opened.settings).jobs.at_once
    );
    tokio::select! {
        ended = async { tokio::join!(working, stopping).1 } => ended,
        () = pump.run() => anyhow::bail!("the pump of progress ended"),
        refused = opened.refused_for_good() => Err(refused),
    }
}
