//! A tus client that does one request at a time and shows what came back.
//!
//! It never retries: what a test wants to see is the answer.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::{Client, Method, RequestBuilder, Response};
use sha2::{Digest, Sha256};

use crate::Who;

/// The media type of the bytes of a `PATCH`.
pub const CHUNK_TYPE: &str = "application/offset+octet-stream";

/// One upload, as its sender sees it.
#[derive(Clone)]
pub struct Tus {
    client: Client,
    /// Where its bytes go.
    pub url: String,
}

impl Tus {
    /// Announces a file of `length` bytes.
    ///
    /// # Errors
    /// When the server does not answer 201 with a place.
    pub async fn create(site: &str, who: &Who, length: usize, metadata: &str) -> Result<Self> {
        let client = fresh_connections()?;
        let response = client
            .post(format!("{site}/files/"))
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", length)
            .header("Upload-Metadata", metadata)
            .bearer_auth(&who.token)
            .send()
            .await?
            .error_for_status()?;
        let place = response
            .headers()
            .get("location")
            .context("no Location")?
            .to_str()?;
        Ok(Self {
            client,
            url: format!("{site}{place}"),
        })
    }

    /// The upload at a place that an answer named.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn at(site: &str, place: &str) -> Result<Self> {
        Ok(Self {
            client: fresh_connections()?,
            url: format!("{site}{place}"),
        })
    }

    /// The upload's id.
    pub fn id(&self) -> &str {
        let key = self.url.rsplit('/').next().unwrap_or_default();
        key.split('.').next().unwrap_or_default()
    }

    /// A request with the headers that every one of them has.
    pub fn request(&self, method: Method) -> RequestBuilder {
        self.client
            .request(method, &self.url)
            .header("Tus-Resumable", "1.0.0")
    }

    /// Sends bytes that start at `offset`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn patch(&self, offset: usize, bytes: impl Into<reqwest::Body>) -> Result<Response> {
        let request = self
            .request(Method::PATCH)
            .header("Upload-Offset", offset)
            .header("Content-Type", CHUNK_TYPE)
            .body(bytes.into());
        Ok(request.send().await?)
    }

    /// How far the server has got.
    ///
    /// # Errors
    /// When it does not answer 200 with an offset.
    pub async fn offset(&self) -> Result<usize> {
        let response = self
            .request(Method::HEAD)
            .send()
            .await?
            .error_for_status()?;
        let offset = response
            .headers()
            .get("upload-offset")
            .context("no Upload-Offset")?;
        Ok(offset.to_str()?.parse()?)
    }
}

/// A client that keeps no connection for the next request: the server may be killed
/// in between, and what is tested is the server.
fn fresh_connections() -> Result<Client> {
    Ok(Client::builder().pool_max_idle_per_host(0).build()?)
}

/// `bytes` in pieces, as a network delivers them; `sent` is told of each.
pub fn pieces(
    bytes: Bytes,
    piece: usize,
    sent: impl Fn(usize) + Send + 'static,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::unfold((bytes, sent), move |(mut rest, sent)| async move {
        if rest.is_empty() {
            return None;
        }
        let next = rest.split_to(piece.min(rest.len()));
        sent(next.len());
        Some((Ok(next), (rest, sent)))
    })
}

/// Bytes that do not compress and differ with `seed` (xorshift64).
pub fn random_bytes(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The SHA-256 of `bytes` in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
