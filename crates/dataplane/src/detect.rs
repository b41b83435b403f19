//! Detects the protocol of a connection by its first bytes.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long to wait for the first bytes before a connection is opaque; Linkerd's default.
const DETECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest first line or TLS hello that is read, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Opaque,
}

/// The result for the bytes so far; `None` if more are needed.
type Detected<T> = Option<T>;

/// Reads until `decide` returns a result; returns it and all bytes read. A timeout and an early end return `default`.
pub(crate) async fn detect<T: Copy>(
    io: &mut (impl AsyncRead + Unpin),
    default: T,
    decide: impl Fn(&[u8]) -> Detected<T>,
) -> io::Result<(T, Bytes)> {
    let mut buffer = BytesMut::new();
    let reading = async {
        loop {
            buffer.reserve(1024);
            if io.read_buf(&mut buffer).await? == 0 {
                return Ok(default);
            }
            if let Some(detected) = decide(&buffer) {
                return Ok(detected);
            }
            if buffer.len() > MAX_LENGTH {
                return Ok(default);
            }
        }
    };
    let detected = timeout(DETECT_TIMEOUT, reading).await.unwrap_or(Ok::<T, io::Error>(default))?;
    Ok((detected, buffer.freeze()))
}

/// Detects HTTP/2 by its preface and HTTP/1 by the form of its first line; everything else is opaque.
pub(crate) fn http(bytes: &[u8]) -> Detected<Protocol> {
    let compared = bytes.len().min(H2_PREFACE.len());
    if bytes[..compared] == H2_PREFACE[..compared] {
        return (compared == H2_PREFACE.len()).then_some(Protocol::Http2);
    }
    // Servers skip empty lines before a request. As opaque bytes, it would reach the application with the caller's `l5d-*`
    // headers.
    let bytes = skip_empty_lines(bytes);
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        // Bytes that cannot begin a method are opaque at once. A method may be long: servers accept any word.
        let method = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
        let word = bytes == b"\r" || bytes[..method].iter().all(|byte| is_token(*byte));
        return if word { None } else { Some(Protocol::Opaque) };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().is_some_and(|word| !word.is_empty() && word.iter().all(|byte| is_token(*byte)));
    let target = words.next().is_some_and(|word| !word.is_empty());
    let version = words.next().is_some_and(|word| word.starts_with(b"HTTP/1."));
    Some(if method && target && version && words.next().is_none() {
        Protocol::Http1
    } else {
        Protocol::Opaque
    })
}

fn skip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\n").or_else(|| bytes.strip_prefix(b"\r\n")) {
        bytes = rest;
    }
    bytes
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the bytes begin a TLS session for this mesh identity; other sessions are forwarded unchanged.
pub(crate) fn mesh_tls(bytes: &[u8], identity: &str) -> Detected<bool> {
    const HANDSHAKE: u8 = 22;
    if bytes[0] != HANDSHAKE {
        return Some(false);
    }
    let mut acceptor = Acceptor::default();
    let mut unread = bytes;
    while !unread.is_empty() {
        if acceptor.read_tls(&mut unread).is_err() {
            return Some(false);
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Some(accepted.client_hello().server_name() == Some(identity)),
            Ok(None) => {}
            Err(_) => return Some(false),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_detected_by_its_first_line() {
        let of = |text: &str| http(text.as_bytes());
        assert_eq!(of("GET / HTTP/1.1\r\n"), Some(Protocol::Http1));
        assert_eq!(of("PROPFIND /a HTTP/1.0\n"), Some(Protocol::Http1));
        assert_eq!(of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(Protocol::Http2));
        assert_eq!(of("PRI * HT"), None);
        assert_eq!(of("GET /long"), None);
        assert_eq!(of("GET /\r\n"), Some(Protocol::Opaque), "HTTP/0.9 has no headers");
        assert_eq!(of("*3\r\n$3\r\nSET\r\n"), Some(Protocol::Opaque));
        assert_eq!(of("\u{0}\u{1}"), Some(Protocol::Opaque));
        assert_eq!(of("averylongwordthatmaybeamethod"), None);
        assert_eq!(of("\r\n\nGET / HTTP/1.1\r\n"), Some(Protocol::Http1), "empty lines are skipped");
        assert_eq!(of("\r\n\r"), None);
        assert_eq!(of("\r\r\nGET / HTTP/1.1\r\n"), Some(Protocol::Opaque));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_opaque_after_ten_seconds() {
        let (mut near, _far) = tokio::io::duplex(64);
        let start = tokio::time::Instant::now();
        let (protocol, head) = detect(&mut near, Protocol::Opaque, http).await.unwrap();
        assert_eq!((protocol, head.len()), (Protocol::Opaque, 0));
        assert_eq!(start.elapsed(), DETECT_TIMEOUT);
    }
}
