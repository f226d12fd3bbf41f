//! Senders that cost next to nothing, so that what is measured is the server: one
//! thread and one connection each, bytes from one shared buffer.
//!
//! It never goes on after an answer that was not hoped for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Larger than any buffer on the way, and not compressible.
const SOURCE_BYTES: usize = 16 * 1024 * 1024;

/// An answer takes less than this, or something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is sent in one case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// How many files.
    pub(crate) files: usize,
    /// Bytes of each.
    pub(crate) file_bytes: usize,
    /// Bytes of one request at most.
    pub(crate) request_bytes: usize,
    /// Connections at once.
    pub(crate) at_once: usize,
}

impl Load {
    /// All bytes, in MiB.
    pub(crate) fn mebibytes(&self) -> f64 {
        (self.files * self.file_bytes) as f64 / 1024.0 / 1024.0
    }

    /// The SHA-256 of each file.
    pub(crate) fn sha256(&self, source: &Source) -> String {
        let mut hash = Sha256::new();
        for start in (0..self.file_bytes).step_by(self.request_bytes) {
            let length = self.request_bytes.min(self.file_bytes - start);
            source.pieces(length).for_each(|piece| hash.update(piece));
        }
        let digest = hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where bytes come from.
pub(crate) struct Source(Bytes);

impl Source {
    /// Random ones, made once.
    pub(crate) fn new() -> Self {
        Self(slipway_tests::random_bytes(SOURCE_BYTES, 7))
    }

    /// So many bytes; each request begins at the start of the source.
    fn pieces(&self, length: usize) -> impl Iterator<Item = &[u8]> {
        (0..length)
            .step_by(SOURCE_BYTES)
            .map(move |start| &self.0[..SOURCE_BYTES.min(length - start)])
    }
}

/// What came of sending.
pub(crate) struct Sent {
    /// From the first byte to the last answer.
    pub(crate) took: Duration,
    /// How long each request with bytes took, the shortest first.
    pub(crate) requests: Vec<Duration>,
}

impl Sent {
    /// The duration that this share of all requests did not exceed, in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.requests.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.requests
            .get(index)
            .map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }
}

/// Somebody who takes files.
#[derive(Clone)]
pub(crate) enum Receiver {
    /// Slipway at this address, for the holder of this token.
    Slipway(String, String),
    /// The sink at this address.
    Sink(String),
}

/// Sends everything and waits for the last answer.
pub(crate) fn send(to: &Receiver, load: Load, source: &Source) -> Result<Sent> {
    let began = Instant::now();
    let sent = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..load.at_once)
            .map(|number| {
                let mine = (number..load.files).step_by(load.at_once);
                scope.spawn(move || send_some(to, load, source, mine))
            })
            .collect();
        let sent = senders.into_iter().map(|sender| match sender.join() {
            Ok(sent) => sent,
            Err(_) => bail!("a sender panicked"),
        });
        sent.collect::<Result<Vec<_>>>()
    })?;
    let took = began.elapsed();
    let mut requests: Vec<Duration> = sent.into_iter().flatten().collect();
    requests.sort_unstable();
    Ok(Sent { took, requests })
}

fn send_some(
    to: &Receiver,
    load: Load,
    source: &Source,
    files: impl Iterator<Item = usize>,
) -> Result<Vec<Duration>> {
    let (Receiver::Slipway(address, _) | Receiver::Sink(address)) = to;
    let mut connection = Connection::open(address)?;
    let mut requests = Vec::new();
    for number in files {
        let place = match to {
            Receiver::Slipway(_, token) => connection.create(token, load.file_bytes)?,
            Receiver::Sink(_) => format!("/{number}"),
        };
        for start in (0..load.file_bytes).step_by(load.request_bytes) {
            let length = load.request_bytes.min(load.file_bytes - start);
            let head = match to {
                Receiver::Slipway(..) => format!(
                    "PATCH {place} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\n\
                     Upload-Offset: {start}\r\nContent-Type: {}\r\nContent-Length: {length}\r\n\r\n",
                    slipway_tests::CHUNK_TYPE
                ),
                Receiver::Sink(_) => {
                    format!(
                        "PUT {place} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
                    )
                }
            };
            let began = Instant::now();
            connection.request(&head, source.pieces(length), 204)?;
            requests.push(began.elapsed());
        }
    }
    Ok(requests)
}

/// One connection that is kept.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let address = address.trim_start_matches("http://");
        let stream = TcpStream::connect(address).context("connecting to the receiver")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    fn create(&mut self, token: &str, length: usize) -> Result<String> {
        let head = format!(
            "POST /files/ HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {length}\r\n\
             Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = self.request(&head, std::iter::empty(), 201)?;
        let place = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location").then(|| value.trim())
        });
        let place = place.context("no Location")?;
        // Absolute or relative, both are right.
        Ok(match place.split_once("://") {
            Some((_, rest)) => format!("/{}", rest.split_once('/').context("no path")?.1),
            None => place.to_owned(),
        })
    }

    /// Sends and reads the answer, which has no body.
    fn request<'a>(
        &mut self,
        head: &str,
        body: impl Iterator<Item = &'a [u8]>,
        status: u16,
    ) -> Result<String> {
        self.stream.write_all(head.as_bytes())?;
        for piece in body {
            self.stream.write_all(piece).context("sending")?;
        }
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !answer.ends_with(b"\r\n\r\n") {
            let length = self.stream.read(&mut buffer).context("reading an answer")?;
            let so_far = || String::from_utf8_lossy(&answer).into_owned();
            ensure!(length > 0, "the connection was closed after {:?}", so_far());
            answer.extend_from_slice(&buffer[..length]);
        }
        let answer = String::from_utf8(answer)?;
        ensure!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "hoped for {status}, got {answer}"
        );
        Ok(answer)
    }
}
