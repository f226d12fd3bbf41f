//! Just enough of Postgres' own protocol to ask a local server a question.
//!
//! xtask links no database library, and some packages of Postgres come without `psql`.
//! This speaks version 3 of the protocol over a Unix socket, without passwords, without
//! TLS, one simple query at a time; it is no client for anything else.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};

/// The owner of every private cluster.
pub(crate) const USER: &str = "slipway";

/// Protocol 3.0, as the first number of a start-up message.
const PROTOCOL: i32 = 3 << 16;
/// How long a greeting may take: a live server needs milliseconds, even while it
/// recovers; one that is frozen must be told from a busy one at some point.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// The longest we wait for one message. Dropping a database takes well under a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The longest message we accept: our answers are one short column, an error is a
/// few sentences.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Messages read for one answer before we give up on its end: rows, notices, settings.
const MESSAGES_MAX: usize = 1000;

/// A connection to a private server.
pub(crate) struct Connection<S = UnixStream> {
    stream: S,
}

impl Connection {
    /// Connects through the socket of the server on port 5432 in `folder`.
    pub(crate) fn open(folder: &Path, database: &str) -> Result<Connection> {
        let socket = folder.join(".s.PGSQL.5432");
        let stream = UnixStream::connect(&socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        stream.set_read_timeout(Some(GREETING_LIMIT))?;
        stream.set_write_timeout(Some(GREETING_LIMIT))?;
        let connection = Connection::greet(stream, database)?;
        connection.stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(connection)
    }
}

impl<S: Read + Write> Connection<S> {
    fn greet(stream: S, database: &str) -> Result<Connection<S>> {
        let mut connection = Connection { stream };
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        for word in ["user", USER, "database", database] {
            body.extend_from_slice(word.as_bytes());
            body.push(0);
        }
        body.push(0);
        connection.send(&body)?;
        connection.answer()?;
        Ok(connection)
    }

    /// Runs one statement and returns the first column of its rows.
    pub(crate) fn ask(&mut self, statement: &str) -> Result<Vec<String>> {
        self.stream.write_all(b"Q")?;
        let mut body = statement.as_bytes().to_vec();
        body.push(0);
        self.send(&body)?;
        self.answer()
            .with_context(|| format!("running `{statement}`"))
    }

    fn send(&mut self, body: &[u8]) -> Result<()> {
        // The length counts its own four bytes.
        let length = i32::try_from(body.len() + 4).context("the message is too long")?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(body)?;
        Ok(self.stream.flush()?)
    }

    /// Reads up to "ready for query".
    fn answer(&mut self) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        let mut refused = None;
        for _ in 0..MESSAGES_MAX {
            let (kind, body) = match self.message() {
                Ok(message) => message,
                // A refused connection is closed without "ready".
                Err(error) => return Err(refused.map_or(error, Error::msg)),
            };
            match kind {
                b'D' => rows.push(first_column(&body)?),
                b'E' => refused = Some(error_text(&body)),
                b'R' => ensure!(
                    body.starts_with(&[0, 0, 0, 0]),
                    "the server asks for a password, which a private one never does"
                ),
                b'Z' => return refused.map_or(Ok(rows), |text| Err(Error::msg(text))),
                // Settings, cancellation key, row shapes, tags, notices: not needed.
                _ => {}
            }
        }
        bail!("the server's answer has no end")
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0_u8; 5];
        self.stream
            .read_exact(&mut head)
            .context("waiting for the server's answer")?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
        ensure!(
            (4..=MESSAGE_BYTES_MAX).contains(&length),
            "the server sent a message of {length} bytes, expected 4 to {MESSAGE_BYTES_MAX}"
        );
        let mut body = vec![0_u8; length - 4];
        self.stream
            .read_exact(&mut body)
            .context("reading the server's answer")?;
        Ok((kind, body))
    }
}

/// The first value of a data row; NULL reads as empty.
fn first_column(row: &[u8]) -> Result<String> {
    let value = match row {
        [_, _, a, b, c, d, rest @ ..] => {
            let length = i32::from_be_bytes([*a, *b, *c, *d]).max(0);
            rest.get(..usize::try_from(length)?)
        }
        _ => None,
    };
    let value = value.context("the server sent half a row")?;
    Ok(String::from_utf8_lossy(value).into_owned())
}

/// The sentence inside an error message: fields of one letter and a text each.
fn error_text(body: &[u8]) -> String {
    body.split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(b"M"))
        .map_or_else(
            || "the server refused without a reason".to_owned(),
            |text| String::from_utf8_lossy(text).into_owned(),
        )
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read, Write};

    use super::Connection;

    /// A server that has said everything beforehand.
    struct Script {
        said: Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.said.read(into)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    fn server(messages: &[Vec<u8>]) -> Script {
        Script {
            said: Cursor::new(messages.concat()),
            heard: Vec::new(),
        }
    }

    fn welcome() -> Vec<u8> {
        [
            message(b'R', &[0; 4]),
            message(b'S', b"TimeZone\0UTC\0"),
            message(b'Z', b"I"),
        ]
        .concat()
    }

    #[test]
    fn a_question_is_asked_and_its_first_column_read() {
        let row = [&[0, 2, 0, 0, 0, 2][..], b"15", &[0, 0, 0, 1], b"x"].concat();
        let null = [0, 1, 255, 255, 255, 255];
        let answer = [
            message(b'D', &row),
            message(b'D', &null),
            message(b'Z', b"I"),
        ]
        .concat();

        let mut connection = Connection::greet(server(&[welcome(), answer]), "postgres").unwrap();

        assert_eq!(connection.ask("SELECT 1").unwrap(), ["15", ""]);
        let heard = connection.stream.heard;
        assert!(heard.starts_with(&[0, 0, 0, 40, 0, 3, 0, 0]), "{heard:?}");
        assert!(heard.ends_with(b"Q\0\0\0\x0dSELECT 1\0"), "{heard:?}");
    }

    #[test]
    fn a_refusal_gives_the_server_s_own_sentence() {
        let fatal = message(
            b'E',
            b"SFATAL\0C57P03\0Mthe database system is starting up\0\0",
        );

        let refused = Connection::greet(server(&[fatal]), "postgres")
            .err()
            .unwrap();

        assert_eq!(refused.to_string(), "the database system is starting up");
    }

    #[test]
    fn a_failed_statement_leaves_the_connection_usable() {
        let failed = [
            message(b'E', b"SERROR\0Mno such table\0\0"),
            message(b'Z', b"I"),
        ]
        .concat();
        let script = server(&[welcome(), failed, message(b'Z', b"I")]);
        let mut connection = Connection::greet(script, "postgres").unwrap();

        let error = format!("{:#}", connection.ask("SELECT x").unwrap_err());

        assert_eq!(error, "running `SELECT x`: no such table");
        assert!(connection.ask("SELECT 1").unwrap().is_empty());
    }

    #[test]
    fn a_server_that_talks_nonsense_is_given_up() {
        let huge = [b'D', 127, 255, 255, 255].to_vec();
        let negative = [b'D', 255, 255, 255, 255].to_vec();
        let password = message(b'R', &[0, 0, 0, 10]);
        for said in [
            huge,
            negative,
            password,
            Vec::new(),
            message(b'D', &[0, 1, 0, 0, 0, 9]),
        ] {
            assert!(Connection::greet(server(&[said]), "postgres").is_err());
        }
        let endless = message(b'N', b"notice").repeat(2000);
        let mut connection = Connection::greet(server(&[welcome(), endless]), "postgres").unwrap();
        assert!(connection.ask("SELECT 1").is_err());
    }
}
