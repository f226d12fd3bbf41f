//! Headers as a hostile client may put them together, for tests of whatever reads some.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

/// Any bytes that are no control characters, more often such that mean something
/// somewhere: what this regular expression generates.
pub(crate) fn header_value(meaningful: &'static str) -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        meaningful.prop_map(|text: String| text.into_bytes()),
        proptest::collection::vec(prop_oneof![Just(9_u8), 32_u8..127, 128_u8..=255], 0..200),
    ]
    .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

/// Any of these headers, each with such a value.
pub(crate) fn headers<const N: usize>(
    names: [HeaderName; N],
    value: impl Strategy<Value = HeaderValue>,
) -> impl Strategy<Value = HeaderMap> {
    let values = proptest::collection::vec(proptest::option::of(value), N);
    values.prop_map(move |values| {
        let present = names.iter().cloned().zip(values);
        present
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    })
}
