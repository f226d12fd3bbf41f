//! One question over HTTP to a server on this machine: which status has this path?
//!
//! No client library: xtask has to build in seconds. It reads the status line and
//! nothing else, speaks to loopback only, and follows nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// A server on this machine that takes longer is not ready.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// `HTTP/1.1 200 OK` needs 17 bytes.
const STATUS_LINE_BYTES_MAX: u64 = 256;

/// The status that `GET path` has on `port`.
pub(crate) fn status(port: u16, path: &str) -> Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(STATUS_LINE_BYTES_MAX)).read_line(&mut line)?;
    parse(&line).with_context(|| format!("{address} does not speak HTTP, it said {line:?}"))
}

fn parse(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::{parse, status};

    #[test]
    fn a_status_line_is_read_and_anything_else_is_not() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(parse("HTTP/1.0 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(parse("HTTP/1.1 200\r\n"), Some(200));
        for other in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1", "HTTP/1.1 OK"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_status_of_a_live_server_arrives() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0_u8; 512];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 503 Not Yet\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });

        assert_eq!(status(port, "/readyz").unwrap(), 503);
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:")
        );
    }
}
