//! Small bodies, as forms or JSON: bounded in size and in time.
//!
//! The bytes of files never come this way; they have a floor of their own.

use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::error::ApiError;
use crate::routes::files::{kept, let_go};

/// How long a client may take over a small body: 16 KiB in 20 s is a hundredth of what
/// a telephone line brought.
const BODY_WAIT: Duration = Duration::from_secs(20);

/// The fields of a form.
pub(crate) struct Form<T>(pub(crate) T);

/// A JSON object.
pub(crate) struct Json<T>(pub(crate) T);

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = read::<web::Form<T>>(request, payload);
        Box::pin(async move { Ok(Self(read.await?.into_inner())) })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = read::<web::Json<T>>(request, payload);
        Box::pin(async move { Ok(Self(read.await?.into_inner())) })
    }
}

/// Reads a body in time. One that is not read to its end is held, so that its
/// connection is closed behind the answer.
fn read<T: FromRequest<Error = Error> + 'static>(
    request: &HttpRequest,
    payload: &mut Payload,
) -> Extracted<T> {
    let request = request.clone();
    let body = web::Payload::from_request(&request, payload);
    Box::pin(async move {
        let mut body: Payload = Payload::Stream {
            payload: Box::pin(kept(&request, body.await?)),
        };
        match timeout(BODY_WAIT, T::from_request(&request, &mut body)).await {
            Ok(read) => {
                let read = read?;
                let_go(&request);
                Ok(read)
            }
            Err(_) => Err(ApiError::too_slow().into()),
        }
    })
}
