//! The answer to a download: which bytes, under which headers.
//!
//! It never lets a browser run what somebody uploaded: no guessing of the kind, a
//! sandbox for whatever is shown, and for all else no showing.

use std::collections::VecDeque;

use actix_web::body::SizedStream;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use slipway_core::ByteCount;
use slipway_ingest::{Ingest, Upload};

use crate::conditions::{self, Judged};
use crate::disposition;
use crate::error::ApiError;
use crate::kinds::{Handed, handed};
use crate::ranges::{Piece, Wanted, wanted};

/// For what is shown all the same: an origin of its own, and nothing but itself.
const SANDBOX: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; \
     style-src 'unsafe-inline'";

/// One account's file is not another's, and a copy is asked about before it is used
/// again: that asks for permission too.
const CACHE: &str = "private, no-cache";

/// A stored file as one request sees it.
struct Download<'a> {
    ingest: &'a Ingest,
    upload: &'a Upload,
    size: u64,
    tag: String,
    kind: Handed,
    body: bool,
}

/// Answers `GET` and `HEAD` for a stored file.
pub(crate) fn answer(
    request: &HttpRequest,
    ingest: &Ingest,
    upload: &Upload,
) -> Result<HttpResponse, ApiError> {
    let tag = match upload.sha256 {
        Some(sha256) => format!("\"{sha256}\""),
        None => return Err(anyhow::anyhow!("upload {} has no hash", upload.id).into()),
    };
    let found = upload.media_type.as_deref().filter(|_| upload.inspected);
    let download = Download {
        ingest,
        upload,
        size: upload.stored.to_u64(),
        tag,
        kind: handed(found),
        body: request.method() != Method::HEAD,
    };
    match conditions::judged(request.headers(), &download.tag) {
        Judged::Go => {}
        Judged::Unchanged => return Ok(download.unchanged()),
        Judged::Changed => return Err(ApiError::changed(&download.tag)),
    }
    // Ranges are of GET alone (RFC 9110 section 14.2).
    let range = conditions::range(request.headers(), &download.tag).filter(|_| download.body);
    match range.map_or(Wanted::Whole, |range| wanted(range, download.size)) {
        Wanted::Whole => Ok(download.whole()),
        Wanted::Outside => Err(ApiError::outside(download.size)),
        Wanted::Pieces(pieces) => match pieces.as_slice() {
            [piece] => Ok(download.one(*piece)),
            _ => download.several(pieces),
        },
    }
}

impl Download<'_> {
    /// A response with all headers that do not depend on what is asked for.
    fn builder(&self, status: StatusCode) -> HttpResponseBuilder {
        let name = &self.upload.name;
        let disposition = if self.kind.shown {
            disposition::inline(name)
        } else {
            disposition::attachment(name)
        };
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::CONTENT_TYPE, self.kind.content_type))
            .insert_header((header::CONTENT_DISPOSITION, disposition))
            .insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CACHE_CONTROL, CACHE))
            .insert_header((header::ACCEPT_RANGES, "bytes"))
            .insert_header((header::ETAG, self.tag.clone()));
        response
    }

    /// Nothing but what a copy is kept by (RFC 9110 section 15.4.5).
    fn unchanged(&self) -> HttpResponse {
        HttpResponse::NotModified()
            .insert_header((header::CACHE_CONTROL, CACHE))
            .insert_header((header::ETAG, self.tag.clone()))
            .finish()
    }

    fn whole(&self) -> HttpResponse {
        let piece = Piece {
            start: 0,
            end: self.size,
        };
        let mut response = self.builder(StatusCode::OK);
        if self.body {
            response.body(SizedStream::new(self.size, self.bytes(piece)))
        } else {
            // Says the size and has no body.
            response.body(SizedStream::new(self.size, stream::empty::<Item>()))
        }
    }

    fn one(&self, piece: Piece) -> HttpResponse {
        self.builder(StatusCode::PARTIAL_CONTENT)
            .insert_header((header::CONTENT_RANGE, piece.content_range(self.size)))
            .body(SizedStream::new(piece.length(), self.bytes(piece)))
    }

    /// Several pieces, each under a head of its own (RFC 9110 section 14.6).
    fn several(&self, pieces: Vec<Piece>) -> Result<HttpResponse, ApiError> {
        // The tag is a hash of the file, so that no file can hold its own boundary
        // but by breaking SHA-256.
        let boundary: String = self.tag.chars().filter(char::is_ascii_hexdigit).collect();
        let head = |(at, piece): (usize, &Piece)| {
            let before = if at == 0 { "" } else { "\r\n" };
            Bytes::from(format!(
                "{before}--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                self.kind.content_type,
                piece.content_range(self.size)
            ))
        };
        let heads: Vec<Bytes> = pieces.iter().enumerate().map(head).collect();
        let foot = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let overhead = heads.iter().chain([&foot]).map(Bytes::len).sum::<usize>();
        let length = pieces
            .iter()
            .map(|piece| piece.length())
            .try_fold(
                u64::try_from(overhead).map_err(anyhow::Error::from)?,
                u64::checked_add,
            )
            .ok_or_else(|| anyhow::anyhow!("an answer that is too large"))?;

        let mut parts: VecDeque<(Bytes, Option<Piece>)> = VecDeque::with_capacity(pieces.len() + 1);
        parts.extend(heads.into_iter().zip(pieces.into_iter().map(Some)));
        parts.push_back((foot, None));
        let (ingest, upload) = (self.ingest.clone(), self.upload.clone());
        let body = stream::iter(parts).flat_map(move |(text, piece)| {
            let head = stream::iter([Ok(text)]);
            let bytes = stream::iter(piece).flat_map({
                let (ingest, upload) = (ingest.clone(), upload.clone());
                move |piece| Box::pin(bytes_of(&ingest, &upload, piece))
            });
            head.chain(bytes)
        });
        let kind = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"))
            .map_err(anyhow::Error::from)?;
        Ok(self
            .builder(StatusCode::PARTIAL_CONTENT)
            .insert_header((header::CONTENT_TYPE, kind))
            .body(SizedStream::new(length, body)))
    }

    fn bytes(&self, piece: Piece) -> impl Stream<Item = Item> + use<> {
        bytes_of(self.ingest, self.upload, piece)
    }
}

type Item = Result<Bytes, actix_web::Error>;

fn bytes_of(ingest: &Ingest, upload: &Upload, piece: Piece) -> impl Stream<Item = Item> + use<> {
    // A piece lies within the file, whose size is a count already.
    let at = |byte: u64| ByteCount::try_from(byte).unwrap_or(upload.stored);
    let id = upload.id;
    ingest
        .bytes(upload, at(piece.start), at(piece.end))
        .map(move |bytes| {
            bytes.map_err(|fault| {
                // The head is sent; all that is left is to break off, and to say so here.
                tracing::error!(upload = %id, fault = format!("{fault:#}"), "a download of upload {id} broke off");
                ApiError::from(fault).into()
            })
        })
}
