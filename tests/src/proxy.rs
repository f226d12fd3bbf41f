//! A TCP proxy that treats its connections as bad networks do: each goes to a server
//! by chance, in pieces by chance, and may be cut at any byte.
//!
//! It never changes a byte, and it listens on this machine alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Chance;

/// The most that is passed on at once.
const PIECE_BYTES: u64 = 64 * 1024;

/// The longest pause between two pieces.
const PAUSE_MILLISECONDS_MAX: u64 = 20;

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// A connection is cut after up to so many bytes of what the client sends.
    pub bytes_before_cut_max: u64,
    /// One piece in so many waits for a while.
    pub pause_once_in: u64,
    /// Repeats the run.
    pub seed: u64,
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    cuts: AtomicUsize,
    connections: Vec<AtomicUsize>,
}

impl Proxy {
    /// Starts to listen before these servers.
    ///
    /// # Errors
    /// When no port is to be had.
    pub async fn before(servers: Vec<SocketAddr>, weather: Weather) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts {
            cuts: AtomicUsize::new(0),
            connections: servers.iter().map(|_| AtomicUsize::new(0)).collect(),
        });
        let accepting = tokio::spawn(accept(listener, servers, weather, Arc::clone(&counts)));
        Ok(Self {
            address,
            counts,
            accepting,
        })
    }

    /// Where clients find it, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.counts.cuts.load(Ordering::Relaxed)
    }

    /// How many connections each server got.
    pub fn connections(&self) -> Vec<usize> {
        let counts = self.counts.connections.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    servers: Vec<SocketAddr>,
    weather: Weather,
    counts: Arc<Counts>,
) {
    let mut chance = Chance::new(weather.seed);
    while let Ok((client, _)) = listener.accept().await {
        let number = usize::try_from(chance.number()).unwrap_or_default() % servers.len();
        counts.connections[number].fetch_add(1, Ordering::Relaxed);
        let (server, counts) = (servers[number], Arc::clone(&counts));
        let chance = Chance::new(chance.number());
        tokio::spawn(async move {
            // What goes wrong here goes wrong on a network: the client sees it.
            if pass(client, server, weather, chance)
                .await
                .is_ok_and(|cut| cut)
            {
                counts.cuts.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// Passes bytes on both ways until a side closes or chance cuts; whether it was cut.
async fn pass(
    client: TcpStream,
    server: SocketAddr,
    weather: Weather,
    mut chance: Chance,
) -> Result<bool> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let limit = chance.within(1..weather.bytes_before_cut_max.max(2));
    let up = async {
        let mut passed = 0;
        loop {
            let most = chance.within(1..PIECE_BYTES).min(limit - passed);
            let mut piece = vec![0; usize::try_from(most)?];
            let length = from_client.read(&mut piece).await?;
            if length == 0 {
                to_server.shutdown().await?;
                return Ok::<bool, anyhow::Error>(false);
            }
            to_server.write_all(&piece[..length]).await?;
            passed += u64::try_from(length)?;
            if passed == limit {
                return Ok(true);
            }
            if chance.once_in(weather.pause_once_in) {
                let pause = chance.within(1..PAUSE_MILLISECONDS_MAX);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    };
    let down = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await.context("closing")
    };
    tokio::pin!(up, down);
    // A cut ends both ways at once, and whatever is under way is lost.
    tokio::select! {
        ended = &mut up => {
            if ended? {
                return Ok(true);
            }
            down.await?;
        }
        ended = &mut down => ended?,
    }
    Ok(false)
}
