//! `slipway serve`: the web process, which also works the jobs unless told not to.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use anyhow::Context;
use slipway_db::Listener;
use slipway_ingest::Stop;
use slipway_realtime::Hub;

use crate::lifetime::asked_to_go;
use crate::open::Opened;
use crate::pump::Pump;

/// How long leaving may take. A platform kills after 30 s; what is not done by
/// then would be lost, so we end ourselves before.
const LEAVE_WITHIN: Duration = Duration::from_secs(20);

/// Serves until asked to go.
pub(crate) async fn run(opened: &Opened) -> anyhow::Result<()> {
    let (db, ingest) = opened.ingest().context("starting the database threads")?;
    let hub = Hub::default();
    let (server, running) =
        slipway_web::serve(Arc::clone(&opened.settings), ingest.clone(), hub.clone())
            .with_context(|| {
                let settings = &opened.settings.server;
                format!("cannot listen on {}:{}", settings.bind, settings.port)
            })?;
    tracing::info!("listening on http://{}", server.address());
    let listener = Listener::start(&opened.database).context("starting to listen")?;
    let pacing = hub.clone();
    rt::spawn(async move { pacing.pace().await });
    let pumping = rt::spawn(Pump::new(db, hub, ingest.clone(), listener).run());
    let stop = Stop::new();
    let working = opened.settings.jobs.inline.then(|| {
        let (ingest, stop) = (ingest, stop.clone());
        rt::spawn(slipway_ingest::work(ingest, stop))
    });
    let running = rt::spawn(running);
    tokio::select! {
        signal = asked_to_go() => tracing::info!("leaving: {}", signal?),
        ended = running => {
            ended.context("the server panicked")?.context("the server ended")?;
            anyhow::bail!("the server ended by itself");
        }
        _ = pumping => anyhow::bail!("the pump of progress ended"),
        refused = opened.refused_for_good() => return Err(refused),
    }
    stop.stop();
    let leaving = async {
        server.leave().await;
        match working {
            Some(working) => working.await.context("the worker panicked"),
            None => Ok(()),
        }
    };
    match tokio::time::timeout(LEAVE_WITHIN, leaving).await {
        Ok(left) => left,
        Err(_) => {
            tracing::warn!("not everything ended within {} s", LEAVE_WITHIN.as_secs());
            Ok(())
        }
    }
}
