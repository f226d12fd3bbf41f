//! A form with files in it (RFC 7578), read part by part as it arrives.
//!
//! It never holds more than a piece of a part: files are passed on, and whatever else
//! a form has is read and forgotten, within bounds.

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use slipway_core::UploadId;
use slipway_ingest::{Caller, NewFile};

use super::take_in;
use crate::app::State;
use crate::error::ApiError;

/// Parts of one form: more than a person picks at once.
const PARTS_MAX: usize = 100;

/// Bytes of a part that is no file: nothing of ours sends any.
const FIELD_BYTES_MAX: usize = 64 * 1024;

/// How long the next part, or a part that is no file, may take; files have limits of
/// their own.
const PART_WAIT: Duration = Duration::from_secs(60);

/// A form on its way in.
pub(super) struct Form {
    parts: Multipart,
}

impl Form {
    /// The form of a request.
    pub(super) fn of<E>(
        request: &HttpRequest,
        body: impl Stream<Item = Result<Bytes, E>> + 'static,
    ) -> Self {
        // Fused, because the parser asks again after the end.
        let body = body.map(|piece| piece.or(Err(PayloadError::Incomplete(None))));
        let body = body.fuse();
        Self {
            parts: Multipart::new(request.headers(), body),
        }
    }

    /// Takes in every file, one after the other; which uploads they are.
    pub(super) async fn take_in(
        mut self,
        state: web::Data<State>,
        caller: Caller,
    ) -> Result<Vec<UploadId>, ApiError> {
        let mut taken = Vec::new();
        for _ in 0..PARTS_MAX {
            let Some(mut part) = within_time(self.parts.next()).await?.transpose()? else {
                return match taken.as_slice() {
                    [] => Err(ApiError::bad_request(
                        "form",
                        "there is no file in the form",
                    )),
                    _ => Ok(taken),
                };
            };
            match file(&part) {
                Some(file) => {
                    taken.push(take_in(state.clone(), caller.clone(), file, part).await?);
                }
                None => within_time(skip(&mut part)).await??,
            }
        }
        Err(ApiError::bad_request(
            "form",
            format!("a form may have {PARTS_MAX} parts; the files before that are stored"),
        ))
    }
}

/// The file that a part is: one with a name. A browser sends one without a name where
/// nothing was picked.
fn file(part: &Field) -> Option<NewFile> {
    let name = part.content_disposition()?.get_filename()?;
    (!name.is_empty()).then(|| NewFile {
        name: unescaped(name),
        media_type: part
            .content_type()
            .map(|kind| kind.essence_str().to_owned()),
        metadata: String::new(),
        total: None,
        explicit_end: true,
        concat: None,
        expected: None,
    })
}

/// A name as the browser had it: of all characters only these three are escaped in
/// forms (HTML, "multipart/form-data encoding algorithm").
fn unescaped(name: &str) -> String {
    name.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

async fn skip(part: &mut Field) -> Result<(), ApiError> {
    let mut read = 0;
    while let Some(piece) = part.next().await {
        read += piece?.len();
        if read > FIELD_BYTES_MAX {
            let detail = format!("a part that is no file has more than {FIELD_BYTES_MAX} bytes");
            return Err(ApiError::bad_request("form", detail));
        }
    }
    Ok(())
}

async fn within_time<T>(waiting: impl Future<Output = T>) -> Result<T, ApiError> {
    let waited = tokio::time::timeout(PART_WAIT, waiting).await;
    waited.or(Err(ApiError::cut()))
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        match error {
            MultipartError::Incomplete | MultipartError::Payload(_) => Self::cut(),
            MultipartError::ContentTypeMissing
            | MultipartError::ContentTypeParse
            | MultipartError::ContentTypeIncompatible
            | MultipartError::BoundaryMissing => Self::not_a_form(),
            // Its sentence may repeat input.
            _ => Self::bad_request("form", "the form cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_browsers_escape_is_unescaped() {
        for (sent, name) in [
            ("a.csv", "a.csv"),
            ("say %22hi%22.txt", "say \"hi\".txt"),
            ("100%25.txt", "100%25.txt"),
            ("ä 日本.txt", "ä 日本.txt"),
        ] {
            assert_eq!(unescaped(sent), name);
        }
    }
}
