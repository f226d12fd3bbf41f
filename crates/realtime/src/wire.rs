//! What a socket takes from its peer, and with which code it closes on whatever is
//! not in order (RFC 6455).
//!
//! It never knows what messages mean.

use actix_ws::{AggregatedMessageStream, CloseCode, MessageStream};

/// Largest message a viewer may send: 64 subscriptions are a fifth of it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What is said when the peer does not keep to the protocol.
pub(crate) const OUT_OF_ORDER: &str = "the frames are not in order";

/// Puts messages together from their fragments, as far as they are not too large.
pub(crate) fn whole_messages(stream: MessageStream) -> AggregatedMessageStream {
    stream
        .max_frame_size(MESSAGE_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(MESSAGE_BYTES_MAX)
}

/// The close code that says what was wrong (RFC 6455 section 7.4.1).
pub(crate) fn code_of(error: &actix_ws::ProtocolError) -> CloseCode {
    use actix_ws::ProtocolError::{Io, Overflow};
    match error {
        Overflow => CloseCode::Size,
        // Both a reserved bit and bad UTF-8 arrive as this; only the text tells.
        Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            if io.to_string().contains("reserved") {
                CloseCode::Protocol
            } else {
                CloseCode::Invalid
            }
        }
        // Too large once put together; too large in one piece is an overflow.
        Io(io) if io.to_string().contains("maximum continuation size") => CloseCode::Size,
        _ => CloseCode::Protocol,
    }
}
