//! One viewer: connects, follows one topic, answers pings, and reads.
//!
//! It never parses more of a frame than it needs, so that what is measured is the server.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use anyhow::Result;
use mio::net::TcpStream;

use crate::Plan;
use crate::tally::Tally;

/// A message that the server answers with a pong has this first byte, and its answer this
/// one (RFC 6455 section 5.5); the mask of all zeroes leaves what it masks as it is.
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const MASK: [u8; 4] = [0; 4];

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    Open,
    CutOff,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Away,
    Connecting,
    Greeted,
    Following,
}

/// Somebody who watches one topic.
#[derive(Default)]
pub(crate) struct Viewer {
    stream: Option<TcpStream>,
    stage: Stage,
    /// What has arrived and is no whole frame yet.
    rest: Vec<u8>,
    since: Option<(String, u64)>,
    done: u64,
    attempt: u32,
    times_here: u32,
    recovered: bool,
    back_at: Option<Instant>,
}

impl Viewer {
    pub(crate) fn stream(&mut self) -> Option<&mut TcpStream> {
        self.stream.as_mut()
    }

    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    pub(crate) fn is_following(&self) -> bool {
        self.stage == Stage::Following
    }

    /// Whether they went on where they were after their last return.
    pub(crate) fn is_recovered(&self) -> bool {
        self.is_following() && self.recovered
    }

    pub(crate) fn is_coming(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Greeted)
    }

    pub(crate) fn was_here(&self) -> bool {
        self.times_here > 0
    }

    pub(crate) fn may_come(&self, now: Instant) -> bool {
        self.stage == Stage::Away && self.back_at.is_none_or(|at| at <= now)
    }

    pub(crate) fn come_back_at(&mut self, at: Instant) {
        self.back_at = Some(at);
    }

    /// Begins to connect.
    pub(crate) fn come(&mut self, plan: &Plan, _number: usize) -> Result<()> {
        self.stream = Some(TcpStream::connect(plan.address)?);
        self.stage = Stage::Connecting;
        self.rest.clear();
        Ok(())
    }

    /// Forgets the connection; how many failed in a row.
    pub(crate) fn cut_off(&mut self) -> u32 {
        self.attempt = if self.is_following() {
            0
        } else {
            self.attempt + 1
        };
        self.stream = None;
        self.stage = Stage::Away;
        self.recovered = false;
        self.attempt
    }

    /// Reads whatever there is.
    pub(crate) fn serve(&mut self, plan: &Plan, number: usize, tally: &mut Tally) -> After {
        match self.try_serve(plan, number, tally) {
            Ok(after) => after,
            Err(_) => After::CutOff,
        }
    }

    fn try_serve(&mut self, plan: &Plan, number: usize, tally: &mut Tally) -> Result<After> {
        if self.stage == Stage::Connecting && self.rest.is_empty() {
            self.ask_to_upgrade(plan)?;
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            let Some(stream) = &mut self.stream else {
                return Ok(After::Open);
            };
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(After::CutOff),
                Ok(length) => {
                    self.rest.extend_from_slice(&buffer[..length]);
                    if self.digest(plan, number, tally)? == After::CutOff {
                        return Ok(After::CutOff);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(After::Open),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends the request as soon as the connection stands; the mark that it was sent is
    /// one byte that is no part of an answer.
    fn ask_to_upgrade(&mut self, plan: &Plan) -> Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        if let Some(error) = stream.take_error()? {
            return Err(error.into());
        }
        if stream.peer_addr().is_err() {
            return Ok(());
        }
        let request = format!(
            "GET /live HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: slipway.progress.v1\r\nAuthorization: Bearer {}\r\n\r\n",
            plan.address, plan.token
        );
        // Far less than an empty buffer of the kernel takes.
        stream.write_all(request.as_bytes())?;
        self.stage = Stage::Greeted;
        Ok(())
    }

    /// Takes whole frames off what has arrived.
    fn digest(&mut self, plan: &Plan, number: usize, tally: &mut Tally) -> Result<After> {
        if self.rest.starts_with(b"HTTP/1.1 ") {
            let Some(end) = find(&self.rest, b"\r\n\r\n") else {
                return Ok(After::Open);
            };
            if !self.rest.starts_with(b"HTTP/1.1 101") {
                return Ok(After::CutOff);
            }
            self.rest.drain(..end + 4);
            let topic = &plan.topics[number % plan.topics.len()];
            let since = match &self.since {
                Some((e, s)) => format!(r#","since":{{"e":"{e}","s":{s}}}"#),
                None => String::new(),
            };
            self.say(
                TEXT,
                format!(r#"{{"t":"sub","id":1,"topic":"{topic}"{since}}}"#).as_bytes(),
            )?;
        }
        let rest = std::mem::take(&mut self.rest);
        let mut at = 0;
        let mut after = After::Open;
        while let Some((head, length)) = frame(&rest[at..]) {
            let payload = &rest[at + head..at + head + length];
            match rest[at] {
                PING => self.say(PONG, payload)?,
                TEXT => self.hear(payload, tally),
                CLOSE => after = After::CutOff,
                _ => {}
            }
            at += head + length;
        }
        self.rest = rest[at..].to_vec();
        Ok(after)
    }

    /// A text: one frame of the protocol, or several.
    fn hear(&mut self, text: &[u8], tally: &mut Tally) {
        if find(text, br#""t":"ok""#).is_some() {
            self.stage = Stage::Following;
            self.times_here += 1;
            self.attempt = 0;
            self.recovered = find(text, br#""recovered":true"#).is_some();
            if let Some(e) = after(text, br#""e":""#) {
                let end = find(e, b"\"").unwrap_or_default();
                let e = String::from_utf8_lossy(&e[..end]).into_owned();
                self.since = Some((e, number_after(text, br#""s":"#).unwrap_or_default()));
            }
        }
        if let (Some((_, s)), Some(now)) = (&mut self.since, number_after(text, br#""s":"#)) {
            *s = now;
        }
        // A snapshot was committed long ago, so it tells nothing of how fast it came.
        let is_up = find(text, br#""t":"up""#).is_some();
        if let Some(done) = number_after(text, br#""done":"#) {
            if is_up {
                tally.got(done, self.done);
            }
            self.done = done;
        }
        if find(text, br#""t":"err""#).is_some() {
            // Refused for now: to come again is the simplest way to ask again.
            self.stage = Stage::Greeted;
            if let Some(stream) = &self.stream {
                let _already_gone = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    fn say(&mut self, first: u8, payload: &[u8]) -> Result<()> {
        let mut bytes = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..=125) => bytes.push(0x80 | short),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&u16::try_from(payload.len())?.to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend_from_slice(payload);
        if let Some(stream) = &mut self.stream {
            stream.write_all(&bytes)?;
        }
        Ok(())
    }
}

/// Length of the head and of the payload of the frame that the bytes begin with, once it
/// is whole (RFC 6455 section 5.2; what a server sends is not masked).
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (
            4,
            u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        ),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let length = usize::try_from(length).ok()?;
    (bytes.len() >= head + length).then_some((head, length))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn after<'a>(bytes: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    find(bytes, what).map(|at| &bytes[at + what.len()..])
}

fn number_after(bytes: &[u8], what: &[u8]) -> Option<u64> {
    let digits = after(bytes, what)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
