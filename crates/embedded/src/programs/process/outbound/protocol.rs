//! Which protocol the client of a connection uses.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long the first bytes of a client are waited for, as in Linkerd; then the server may speak first.
const DETECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before bytes that are too few are read again.
const PAUSE: Duration = Duration::from_millis(5);

/// The beginnings of HTTP/1.1 requests, and of HTTP/2.
const STARTS: [&str; 10] =
    ["GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ", "PRI * HTTP/2"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Opaque,
}

/// Looks at the first bytes of a connection and leaves them there.
///
/// # Errors
/// The connection failed.
pub(super) async fn detect(socket: &TcpStream) -> io::Result<Protocol> {
    let detect = async {
        let mut bytes = [0; 16];
        let mut before = 0;
        loop {
            let count = socket.peek(&mut bytes).await?;
            match of_start(&bytes[..count]) {
                Some(protocol) => return Ok(protocol),
                // The client has closed its side, or sends the rest later.
                None if count == 0 => return Ok(Protocol::Opaque),
                None => {
                    if count == before {
                        sleep(PAUSE).await;
                    }
                    before = count;
                }
            }
        }
    };
    timeout(DETECT_TIMEOUT, detect).await.unwrap_or(Ok(Protocol::Opaque))
}

/// Returns the protocol, or `None` if more bytes are needed.
fn of_start(bytes: &[u8]) -> Option<Protocol> {
    let starts = STARTS.map(str::as_bytes);
    if starts.iter().any(|start| bytes.starts_with(start)) {
        return Some(Protocol::Http);
    }
    let possible = starts.iter().any(|start| start.starts_with(bytes));
    (!possible).then_some(Protocol::Opaque)
}

#[cfg(test)]
mod tests {
    use super::{Protocol, of_start};

    #[test]
    fn http_is_recognized_by_its_first_bytes() {
        for (bytes, expected) in [
            ("GET / HTTP/1.1\r\n", Some(Protocol::Http)),
            ("PRI * HTTP/2.0\r\n", Some(Protocol::Http)),
            ("PO", None),
            ("", None),
            ("*1\r\n$4\r\nPING", Some(Protocol::Opaque)),
            ("\u{16}\u{3}\u{1}", Some(Protocol::Opaque)),
        ] {
            assert_eq!(of_start(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
