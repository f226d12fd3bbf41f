//! A viewer on the WebSocket of `slipway.progress.v1`.
//!
//! It never reorders or repairs what comes: frames are handed on as they arrive, and
//! each is held to what the server publishes about its protocol.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::{Description, Who};

/// How long to wait for a frame that should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who watches.
pub struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    frames: VecDeque<Value>,
    next_id: u64,
    described: Description,
}

impl Viewer {
    /// The upgrade request of a script with a token.
    ///
    /// # Errors
    /// When the address is none.
    pub fn request(site: &str, who: &Who) -> Result<Request> {
        let mut request =
            format!("{}/live", site.replacen("http", "ws", 1)).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", "slipway.progress.v1".parse()?);
        headers.insert("Authorization", format!("Bearer {}", who.token).parse()?);
        Ok(request)
    }

    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// When the server does not let the viewer in.
    pub async fn connect(site: &str, who: &Who) -> Result<Self> {
        Self::enter(Self::request(site, who)?).await
    }

    /// Connects with a request of one's own and reads the greeting.
    ///
    /// # Errors
    /// When the server does not let the viewer in.
    pub async fn enter(request: Request) -> Result<Self> {
        let authority = request.uri().authority().context("an address")?;
        let site = format!("http://{authority}");
        let described = Description::fetch(&site, "/api/v1/asyncapi.json").await?;
        let (socket, _) = connect_async(request).await?;
        let mut viewer = Self {
            socket,
            frames: VecDeque::new(),
            next_id: 1,
            described,
        };
        let hello = viewer.frame().await?;
        anyhow::ensure!(hello["t"] == "hello", "the first frame is {hello}");
        Ok(viewer)
    }

    /// Tries to connect, to be refused: the status that came instead.
    ///
    /// # Errors
    /// When the viewer is let in after all.
    pub async fn refused(request: Request) -> Result<u16> {
        match connect_async(request).await {
            Err(Error::Http(response)) => Ok(response.status().as_u16()),
            Err(error) => Err(error.into()),
            Ok(_) => bail!("the viewer was let in"),
        }
    }

    /// Asks to follow a topic.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn follow(&mut self, topic: &str, since: Option<Value>) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        let frame = json!({"t": "sub", "id": id, "topic": topic, "since": since});
        described(&self.described, &frame)?;
        self.say(&frame).await
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn say(&mut self, frame: &Value) -> Result<()> {
        Ok(self.socket.send(Message::text(frame.to_string())).await?)
    }

    /// The next frame; heartbeats that say nothing are left out.
    ///
    /// # Errors
    /// When none comes in time, or the connection closes.
    pub async fn frame(&mut self) -> Result<Value> {
        // One deadline for all of it: heartbeats alone must not keep a test waiting.
        timeout(PATIENCE, self.next_frame())
            .await
            .context("no frame came")?
    }

    async fn next_frame(&mut self) -> Result<Value> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                if frame["t"] != "hb" || frame["stale"].is_boolean() {
                    return Ok(frame);
                }
                continue;
            }
            let message = self.socket.next().await.context("the connection ended")??;
            match message {
                Message::Text(text) => self.frames.extend(self.read(&text)?),
                Message::Close(reason) => {
                    bail!(
                        "closed with {:?}",
                        reason.map(|reason| u16::from(reason.code))
                    )
                }
                _ => {}
            }
        }
    }

    fn read(&self, text: &str) -> Result<Vec<Value>> {
        let frames = match serde_json::from_str(text)? {
            Value::Array(frames) => frames,
            frame => vec![frame],
        };
        for frame in &frames {
            described(&self.described, frame)?;
        }
        Ok(frames)
    }

    /// Reads until a frame about `topic` satisfies `wanted`; all frames read.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn until(
        &mut self,
        topic: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>> {
        let (began, mut frames) = (Instant::now(), Vec::new());
        loop {
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "it did not come to that: {frames:?}"
            );
            let frame = self
                .frame()
                .await
                .with_context(|| format!("after {frames:?}"))?;
            let found = frame["topic"] == topic && wanted(&frame);
            frames.push(frame);
            if found {
                return Ok(frames);
            }
        }
    }

    /// Reads until the server closes the connection; the frames before, and the
    /// code.
    ///
    /// # Errors
    /// When it does not.
    pub async fn closed(&mut self) -> Result<(Vec<Value>, u16)> {
        let mut frames: Vec<Value> = self.frames.drain(..).collect();
        loop {
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .context("the connection stayed open")?
                .context("the connection ended without a close frame")??;
            match message {
                Message::Close(reason) => {
                    return Ok((frames, reason.map_or(1005, |reason| reason.code.into())));
                }
                Message::Text(text) => frames.extend(self.read(&text)?),
                _ => {}
            }
        }
    }
}

/// Whether a frame is as the server publishes frames of its kind to be.
fn described(description: &Description, frame: &Value) -> Result<()> {
    let kind = frame["t"].as_str().unwrap_or_default();
    description.hold(frame, &format!("/components/messages/{kind}/payload"))
}
