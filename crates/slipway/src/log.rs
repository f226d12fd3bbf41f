//! The log: where its lines go and what they look like.
//!
//! It never writes to standard output, which belongs to the commands.

use std::fmt::Debug;
use std::io::IsTerminal;

use slipway_config::{LogFormat, LogSettings};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Begins to log. Once a process.
pub(crate) fn begin(settings: &LogSettings) {
    // A filter that cannot be read must not silence a process.
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let begun = match settings.format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .fmt_fields(debug_fn(sentence_only))
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if begun.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(
                place,
                "a panic: {}",
                panic.payload_as_str().unwrap_or("no message")
            );
        }));
    }
}

/// For people, an event is its sentence and what went wrong; the other fields
/// repeat for machines what the sentence says.
fn sentence_only(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        "error" | "fault" | "place" => write!(writer, ": {value:?}"),
        _ => Ok(()),
    }
}
