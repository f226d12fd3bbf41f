//! Listening and leaving: sockets in, a switch to stop, an end within bounds.
//!
//! It never installs a signal handler; when to leave is decided by the binary.

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
#[cfg(target_os = "linux")]
use actix_web::rt::net::TcpStream;
use slipway_config::Settings;
use slipway_ingest::Ingest;
use slipway_realtime::{Hub, Waits};
use tokio::sync::watch;

use crate::app::{State, app};
use crate::keys::Keys;
use crate::limits::Limits;

/// Idle connections are kept longer than the 90 s for which the router keeps
/// them: were we the first to close, a request could meet the closing socket.
const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// How long a client may take over its request headers.
const HEADERS_WAIT: Duration = Duration::from_secs(20);

/// How long requests may go on after we are told to leave. Together with the
/// sockets' drain well below the 30 s after which a dyno is killed.
const SHUTDOWN_SECONDS: u64 = 15;

/// The time over which viewers are sent elsewhere.
const DRAIN: Duration = Duration::from_secs(8);

/// Connections waiting to be accepted; a reconnect storm comes all at once.
const BACKLOG: u32 = 4096;

/// Blocking threads of a worker. They hash: more than cores would only wait.
const BLOCKING_THREADS: usize = 4;

/// Bytes that the kernel takes beyond what it can send (TCP_NOTSENT_LOWAT), as many as
/// we gather for one write. Its own limit, 4 MiB, holds twenty thousand values that are
/// long out of date for a viewer who reads slowly.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 32 * 1024;

/// How long bytes may lie unacknowledged or unsent before the kernel gives a connection
/// up (TCP_USER_TIMEOUT): one whose peer reads nothing would hold its memory for ever.
/// More than the 55 s after which the router cuts what is silent.
#[cfg(target_os = "linux")]
const UNHEARD_MAX: Duration = Duration::from_secs(90);

/// A running server.
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    hub: Hub,
    leaving: watch::Sender<bool>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leaves in good order: uploads commit what is in hand, viewers are sent
    /// elsewhere, and then, or when their time is up, everything is closed.
    pub async fn leave(self) {
        self.leaving.send_replace(true);
        self.hub.drain(DRAIN);
        self.handle.stop(true).await;
    }
}

/// Binds and serves; the second value comes when the server has ended.
///
/// # Errors
/// When the address cannot be bound or the threads cannot be had.
pub fn serve(
    settings: Arc<Settings>,
    ingest: Ingest,
    hub: Hub,
) -> std::io::Result<(Server, impl Future<Output = std::io::Result<()>>)> {
    let listener = listen(SocketAddr::from((
        settings.server.bind,
        settings.server.port,
    )))?;
    let address = listener.local_addr()?;
    let (leaving, left) = watch::channel(false);
    let workers = usize::from(settings.server.workers);
    let keys = Keys::new(
        &settings.session_secret,
        settings.session_secret_previous.as_ref(),
    );
    let state = State {
        ingest,
        hub: hub.clone(),
        waits: Waits::default(),
        limits: Limits::new(settings.server.requests_per_second),
        settings,
        keys,
        leaving: left,
    };
    let running = HttpServer::new(move || app(state.clone()))
        .workers(workers)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .backlog(BACKLOG)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEADERS_WAIT)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .on_connect(|connection, _| tune(connection))
        .listen(listener)?
        .run();
    let server = Server {
        address,
        handle: running.handle(),
        hub,
        leaving,
    };
    Ok((server, running))
}

/// Sets what a connection needs beyond the kernel's defaults. A connection that does not
/// take it works without.
#[cfg(target_os = "linux")]
fn tune(connection: &dyn Any) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        let socket = socket2::SockRef::from(stream);
        let _refused = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
        let _refused = socket.set_tcp_user_timeout(Some(UNHEARD_MAX));
    }
}

#[cfg(not(target_os = "linux"))]
fn tune(_: &dyn Any) {}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
