//! How long a process lives: until it is asked to go.

use tokio::signal::unix::{SignalKind, signal};

/// Comes true at SIGTERM, as platforms send it, or SIGINT, as terminals do; says
/// which.
pub(crate) async fn asked_to_go() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
