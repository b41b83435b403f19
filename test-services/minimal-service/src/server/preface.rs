//! The first bytes of a connection, which show whether it uses HTTP/2.

use std::io::Cursor;
use std::time::Duration;

use meshy_net::BoxIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, join, split};
use tokio::time::timeout;

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until the bytes are the preface of HTTP/2 or something else, and returns a stream that begins with them. Returns
/// `None` if the client closes the connection before its first byte, or sends too little in this time.
pub(super) async fn read(
    mut stream: BoxIo,
    limit: Duration,
) -> Option<impl AsyncRead + AsyncWrite + Send + Unpin> {
    let first = async {
        let mut bytes = Vec::with_capacity(PREFACE.len());
        while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
            let missing = PREFACE.len() - bytes.len();
            let mut part = (&mut stream).take(missing as u64);
            match part.read_buf(&mut bytes).await {
                Ok(0) if bytes.is_empty() => return None,
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        Some(bytes)
    };
    let bytes = timeout(limit, first).await.ok().flatten()?;
    let (reader, writer) = split(stream);
    Some(join(Cursor::new(bytes).chain(reader), writer))
}
