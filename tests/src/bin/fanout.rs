//! The reference for `cargo xtask bench live`: one task for each connection, one frame
//! for all, made once and written as it is. Its arguments are when time began, in
//! microseconds since 1970, and how many microseconds lie between two frames.
//!
//! It never asks who anybody is, reads what they say, or keeps anything: what Slipway
//! costs beyond this is the price of what it does beyond this.

#![expect(clippy::print_stderr, reason = "its address is all it has to say")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// As many as a process of Slipway has.
const WORKERS: usize = 2;

/// What makes the frame as long as one of Slipway's.
const PADDING: usize = 170;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base: u128 = arguments.next().context("since when?")?.parse()?;
    let every: u64 = arguments.next().context("how often?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?;
    runtime.block_on(run(base, Duration::from_micros(every)))
}

async fn run(base: u128, every: Duration) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let (frames, _) = watch::channel(Arc::from(frame(0)));
    let source = frames.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let done = now.unwrap_or_default().as_micros().saturating_sub(base);
            source.send_replace(Arc::from(frame(done)));
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let frames = frames.subscribe();
        // A connection that breaks is a viewer who has left.
        tokio::spawn(async move { drop(serve(stream, frames).await) });
    }
}

async fn serve(mut stream: TcpStream, mut frames: watch::Receiver<Arc<[u8]>>) -> Result<()> {
    stream.set_nodelay(true)?;
    // The request, and with it whatever else has come, is not looked at.
    let _read = stream.read(&mut [0; 1024]).await?;
    stream
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        .await?;
    let ok = br#"{"t":"ok","e":"t","s":1,"recovered":true}"#;
    stream.write_all(&[0x81, ok.len() as u8]).await?;
    stream.write_all(ok).await?;
    loop {
        frames.changed().await?;
        let frame = Arc::clone(&frames.borrow_and_update());
        stream.write_all(&frame).await?;
    }
}

/// A text frame (RFC 6455 section 5.2) with a value.
fn frame(done: u128) -> Vec<u8> {
    let text = format!(
        r#"{{"t":"up","topic":"upload:0190a1b2-0000-7000-8000-000000000001","p":1,"s":1,"d":{{"done":{done},"x":"{}"}}}}"#,
        "x".repeat(PADDING)
    );
    let mut bytes = vec![0x81, 126];
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
