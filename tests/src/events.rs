//! A reader of server-sent events, as browsers read them (HTML Standard, section 9.2).
//!
//! It never comes back by itself: when to do so is the test's to say.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::Value;
use tokio::time::timeout;

/// How long to wait for an event that should come.
const PATIENCE: Duration = Duration::from_secs(40);

/// An open stream.
pub struct Events {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    text: String,
    /// The last id that was told.
    pub last_id: String,
}

impl Events {
    /// Reads the body of an answer.
    pub fn of(answer: reqwest::Response) -> Self {
        Self {
            body: Box::pin(answer.bytes_stream()),
            text: String::new(),
            last_id: String::new(),
        }
    }

    /// The frame of the next event that has one; `None` at the end of the stream.
    ///
    /// # Errors
    /// When nothing comes in time, or the connection breaks.
    pub async fn frame(&mut self) -> Result<Option<Value>> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                if let Some(frame) = self.read(&event)? {
                    return Ok(Some(frame));
                }
            }
            let next = timeout(PATIENCE, self.body.next());
            match next.await.context("no event came")? {
                Some(bytes) => self.text.push_str(std::str::from_utf8(&bytes?)?),
                None => return Ok(None),
            }
        }
    }

    /// Reads until a frame satisfies `wanted`; all frames read.
    ///
    /// # Errors
    /// When the stream ends before.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await?;
            let frame = frame.with_context(|| format!("the stream ended after {frames:?}"))?;
            let found = wanted(&frame);
            frames.push(frame);
            if found {
                return Ok(frames);
            }
        }
    }

    fn read(&mut self, event: &str) -> Result<Option<Value>> {
        let mut frame = None;
        for line in event.lines() {
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.last_id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                frame = Some(serde_json::from_str(data)?);
            }
        }
        Ok(frame)
    }
}
