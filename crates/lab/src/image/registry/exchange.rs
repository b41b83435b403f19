//! One request and its reply, over a separate connection: a push is a handful of them, on loopback.

use bytes::{Bytes, BytesMut};
use http::header::{HOST, HeaderName};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{DEADLINE, RegistryError};
use meshy_base::activity::{self, Activity, Kind};

/// What is requested.
pub(super) struct Request {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
    /// The largest reply body that is read.
    pub(super) largest: u64,
    /// What it is for, as the beginning of an error's text.
    pub(super) act: String,
}

/// What is answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn new(method: Method, path: String, act: String) -> Self {
        Self { method, path, headers: Vec::new(), body: Bytes::new(), largest: 64 << 10, act }
    }
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Asks and reads the whole reply.
pub(super) async fn whole(authority: &str, request: Request) -> Result<Reply, RegistryError> {
    let _waiting = waiting(authority);
    let (largest, act) = (request.largest, request.act.clone());
    let exchange = async {
        let (head, mut body) = send(authority, request).await?.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(piece) = next(authority, &mut body).await? {
            if (bytes.len() + piece.len()) as u64 > largest {
                let reason = format!("the registry's response is larger than {largest} bytes");
                return Err(RegistryError::Strange { act, reason });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Reply { status: head.status, headers: head.headers, body: bytes.freeze() })
    };
    timeout(DEADLINE, exchange).await.unwrap_or_else(|_| Err(late(authority)))
}

/// Asks and hands on the body of a reply 200 in pieces; each piece has the deadline, not their sum.
pub(super) async fn stream(
    authority: &str,
    request: Request,
    mut each: impl FnMut(&[u8]),
) -> Result<(), RegistryError> {
    let _waiting = waiting(authority);
    let act = request.act.clone();
    let reply = timeout(DEADLINE, send(authority, request)).await.unwrap_or_else(|_| Err(late(authority)))?;
    if reply.status() != StatusCode::OK {
        return Err(RegistryError::Refused { act, status: reply.status(), said: String::new() });
    }
    let mut body = reply.into_body();
    while let Some(piece) =
        timeout(DEADLINE, next(authority, &mut body)).await.unwrap_or_else(|_| Err(late(authority)))?
    {
        each(&piece);
    }
    Ok(())
}

/// A registry's own words in a refusal, behind a colon; nothing if it has none.
pub(super) fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        code: String,
        #[serde(default)]
        message: String,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let reason = refusal.and_then(|refusal| refusal.errors.into_iter().next());
    reason.map(|reason| format!(": {} ({})", reason.message, reason.code)).unwrap_or_default()
}

async fn send(authority: &str, request: Request) -> Result<Response<Incoming>, RegistryError> {
    let failed = |error: &dyn std::fmt::Display| unreachable(authority, error);
    let stream = TcpStream::connect(authority).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    let mut builder =
        http::Request::builder().method(request.method).uri(request.path).header(HOST, authority);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let built = builder.body(Full::new(request.body)).map_err(|error| failed(&error))?;
    sender.send_request(built).await.map_err(|error| failed(&error))
}

async fn next(authority: &str, body: &mut Incoming) -> Result<Option<Bytes>, RegistryError> {
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| unreachable(authority, &error))?.into_data() {
            Ok(piece) => return Ok(Some(piece)),
            Err(_trailers) => {}
        }
    }
    Ok(None)
}

fn waiting(authority: &str) -> Activity {
    activity::begin(Kind::Server, format!("waiting for the registry {authority} to respond"))
}

fn unreachable(authority: &str, reason: &dyn std::fmt::Display) -> RegistryError {
    RegistryError::Unreachable { authority: authority.to_owned(), reason: reason.to_string() }
}

fn late(authority: &str) -> RegistryError {
    unreachable(authority, &format!("no response within {} s", DEADLINE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_passed_on() {
        let body = br#"{"errors":[{"code":"NAME_INVALID","message":"invalid repository name","detail":{}}]}"#;
        assert_eq!(said(body), ": invalid repository name (NAME_INVALID)");
        assert_eq!(said(b"<html>"), "");
        assert_eq!(said(br#"{"errors":[]}"#), "");
    }
}
