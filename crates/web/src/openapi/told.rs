//! The sentences of the description: what each route for programs does, takes and gives.
//!
//! It never names a permission; that is in the table of routes.

/// Where the description is.
const HERE: &str = "/api/v1/openapi.json";

/// What a route takes besides what its address names.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    /// A page of a list.
    Page,
    /// A position in a topic, and how long to wait.
    Position,
    /// JSON of this type.
    Json(&'static str),
    /// Bytes of a file.
    Bytes,
    /// A form with files.
    Form,
    /// Headers that announce a file.
    Announcement,
    /// Headers that any request about an upload has.
    Version,
    /// Headers and bytes that go on with an upload.
    Continuation,
}

/// What a route answers when it has done what was asked.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    /// A status and no body.
    Nothing(u16),
    /// A status and JSON of this type.
    Json(u16, &'static str),
    /// Plain words.
    Text,
    /// Bytes of a file.
    Bytes,
    /// JSON of some shape.
    Anything,
    /// Server-sent events.
    Events,
}

/// A route for programs, in a sentence.
pub(super) type Told = (&'static str, &'static str, &'static str, Takes, Gives);

pub(super) const TOLD: [Told; 30] = {
    use Gives::{Anything, Bytes, Events, Json, Nothing, Text};
    const UPLOAD: &str = "/api/v1/uploads/{id}";
    const CONTENT: &str = "/api/v1/uploads/{id}/content";
    const KEY: &str = "/files/{key}";
    [
        (
            "GET",
            "/healthz",
            "Say that the process is alive",
            Takes::Nothing,
            Text,
        ),
        (
            "HEAD",
            "/healthz",
            "Say that the process is alive",
            Takes::Nothing,
            Nothing(200),
        ),
        (
            "GET",
            "/readyz",
            "Say whether the process can work",
            Takes::Nothing,
            Json(200, "Readiness"),
        ),
        (
            "HEAD",
            "/readyz",
            "Say whether the process can work",
            Takes::Nothing,
            Nothing(200),
        ),
        (
            "OPTIONS",
            "/files/",
            "Say what tus and the draft are spoken with",
            Takes::Nothing,
            Nothing(200),
        ),
        (
            "OPTIONS",
            "/files",
            "Say what tus and the draft are spoken with",
            Takes::Nothing,
            Nothing(200),
        ),
        (
            "OPTIONS",
            KEY,
            "Say what tus and the draft are spoken with",
            Takes::Nothing,
            Nothing(200),
        ),
        (
            "POST",
            "/files/",
            "Announce a file",
            Takes::Announcement,
            Nothing(201),
        ),
        (
            "POST",
            "/files",
            "Announce a file",
            Takes::Announcement,
            Nothing(201),
        ),
        (
            "HEAD",
            KEY,
            "Say how far an upload is, and take it over",
            Takes::Version,
            Nothing(200),
        ),
        (
            "GET",
            KEY,
            "Say how far an upload is, and disturb nobody",
            Takes::Version,
            Nothing(204),
        ),
        (
            "PATCH",
            KEY,
            "Send the next bytes",
            Takes::Continuation,
            Nothing(204),
        ),
        (
            "DELETE",
            KEY,
            "Give an upload up",
            Takes::Version,
            Nothing(204),
        ),
        (
            "POST",
            "/uploads",
            "Send the files of a form",
            Takes::Form,
            Json(201, "ReceivedList"),
        ),
        (
            "PUT",
            "/uploads/{id}",
            "Send a file; the last part of the address is its name",
            Takes::Bytes,
            Json(201, "Received"),
        ),
        (
            "GET",
            "/api/v1/uploads",
            "List uploads, newest first",
            Takes::Page,
            Json(200, "UploadList"),
        ),
        (
            "GET",
            UPLOAD,
            "See an upload and its jobs",
            Takes::Nothing,
            Json(200, "UploadJson"),
        ),
        (
            "DELETE",
            UPLOAD,
            "Remove an upload",
            Takes::Nothing,
            Nothing(204),
        ),
        (
            "GET",
            CONTENT,
            "Get the file, or parts of it",
            Takes::Nothing,
            Bytes,
        ),
        (
            "HEAD",
            CONTENT,
            "See what getting the file would bring",
            Takes::Nothing,
            Nothing(200),
        ),
        (
            "POST",
            "/api/v1/session",
            "Sign in, for programs that keep a cookie",
            Takes::Json("SignIn"),
            Nothing(204),
        ),
        (
            "DELETE",
            "/api/v1/session",
            "Sign out",
            Takes::Nothing,
            Nothing(204),
        ),
        (
            "GET",
            "/api/v1/asyncapi.json",
            "The description of live progress",
            Takes::Nothing,
            Anything,
        ),
        (
            "GET",
            "/api/v1/progress/{topic}",
            "Wait for what has changed since a position",
            Takes::Position,
            Anything,
        ),
        (
            "GET",
            "/api/v1/progress/{topic}/events",
            "Follow a topic by server-sent events",
            Takes::Position,
            Events,
        ),
        ("GET", HERE, "This description", Takes::Nothing, Anything),
        (
            "GET",
            "/api/v1/jobs",
            "List jobs, newest first",
            Takes::Page,
            Json(200, "JobList"),
        ),
        (
            "GET",
            "/api/v1/jobs/{id}",
            "See a job",
            Takes::Nothing,
            Json(200, "JobJson"),
        ),
        (
            "POST",
            "/api/v1/jobs/{id}/cancellation",
            "Cancel a job",
            Takes::Nothing,
            Json(200, "JobJson"),
        ),
        (
            "POST",
            "/api/v1/jobs/{id}/retry",
            "Put a job back into the queue",
            Takes::Nothing,
            Json(200, "JobJson"),
        ),
    ]
};
