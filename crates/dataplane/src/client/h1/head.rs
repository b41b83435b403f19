//! Heads: a request's is written, an answer's is read.

use std::io::Write as _;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use httparse::Status;
use hyper::ext::ReasonPhrase;

use super::decode::Decoder;
use super::upload::Framing;
use crate::body::RequestBody;
use crate::listed::lists;

/// The longest head, and the most headers in it; hyper's limits.
const LONGEST: usize = 400 * 1024;
const FIELDS: usize = 100;

/// Why what an upstream said is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadAnswer {
    #[error("the connection ended before a whole answer")]
    Ended,
    #[error("the answer's head has more than {LONGEST} bytes")]
    TooLong,
    #[error("the answer is no HTTP: {0}")]
    NoHttp(#[from] httparse::Error),
    #[error("the answer has no valid {0}")]
    Invalid(&'static str),
}

/// Appends a request's head; tells how a body follows, if one does.
pub(super) fn write(request: &Request<RequestBody>, output: &mut Vec<u8>) -> Option<Framing> {
    output.extend_from_slice(request.method().as_str().as_bytes());
    output.push(b' ');
    let uri = request.uri();
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(path)) => output.extend_from_slice(path.as_str().as_bytes()),
        // As the caller said it.
        _ => write!(output, "{uri}").expect("memory takes it"),
    }
    output.extend_from_slice(b" HTTP/1.1\r\n");
    let mut length_was_said = false;
    for (name, value) in request.headers() {
        if name == CONTENT_LENGTH {
            length_was_said = true;
        } else if name != TRANSFER_ENCODING {
            write_line(name, value, output);
        }
    }
    let body = request.body();
    let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    let framing = match length {
        Some(0) => {
            output.extend_from_slice(if length_was_said { b"content-length: 0\r\n" } else { b"" });
            None
        }
        Some(length) => {
            write!(output, "content-length: {length}\r\n").expect("memory takes it");
            Some(Framing::Length(length))
        }
        None => {
            output.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Some(Framing::Chunked)
        }
    };
    output.extend_from_slice(b"\r\n");
    framing
}

pub(super) fn write_line(name: &HeaderName, value: &HeaderValue, output: &mut Vec<u8>) {
    output.extend_from_slice(name.as_str().as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// An answer's head, how its body is framed, and whether the connection may go on after it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) decoder: Decoder,
    pub(super) keep: bool,
}

/// Takes an answer's head out of the input once it is whole; informational ones are passed over. `seen` remembers between
/// calls how much was looked at in vain.
pub(super) fn read(
    input: &mut BytesMut,
    seen: &mut usize,
    method: &Method,
) -> Result<Option<Head>, BadAnswer> {
    loop {
        // A head that comes byte by byte is not parsed anew with every byte.
        if input.is_empty() || (*seen > 0 && !may_end(input, *seen)) {
            return more(input, seen);
        }
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut parsed, input, &mut fields)? {
            Status::Complete(length) => length,
            Status::Partial => return more(input, seen),
        };
        *seen = 0;
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(BadAnswer::Invalid("status"))?;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            let _ = input.split_to(length);
            continue;
        }
        let first = input.as_ptr() as usize;
        let place = |part: &[u8]| {
            // What is empty need not lie in the input.
            let start = if part.is_empty() { 0 } else { part.as_ptr() as usize - first };
            start..start + part.len()
        };
        let reason = parsed.reason.filter(|reason| status.canonical_reason() != Some(reason));
        let reason = reason.map(|reason| place(reason.as_bytes()));
        let new = parsed.version == Some(1);
        let spans = parsed.headers.iter().map(|field| (place(field.name.as_bytes()), place(field.value)));
        let spans: Vec<_> = spans.collect();
        let head = input.split_to(length).freeze();
        return finish(&head, status, reason, &spans, new, method).map(Some);
    }
}

/// No head yet: all of the input was looked at, and there may come more.
fn more(input: &[u8], seen: &mut usize) -> Result<Option<Head>, BadAnswer> {
    *seen = input.len();
    if input.len() > LONGEST { Err(BadAnswer::TooLong) } else { Ok(None) }
}

/// Whether an end of a head is in what came since.
fn may_end(input: &[u8], seen: usize) -> bool {
    let new = &input[seen.saturating_sub(3)..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

type Span = Range<usize>;

fn finish(
    head: &Bytes,
    status: StatusCode,
    reason: Option<Span>,
    spans: &[(Span, Span)],
    new: bool,
    method: &Method,
) -> Result<Head, BadAnswer> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    if let Some(reason) = reason
        && let Ok(reason) = ReasonPhrase::try_from(&head[reason])
    {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    headers.reserve(spans.len());
    for (name, value) in spans {
        let name = HeaderName::from_bytes(&head[name.clone()]).map_err(|_| BadAnswer::Invalid("header"))?;
        let value = HeaderValue::from_maybe_shared(head.slice(value.clone()));
        headers.append(name, value.map_err(|_| BadAnswer::Invalid("header"))?);
    }
    let decoder = decoder(method, status, headers, new)?;
    let close = lists(headers, &CONNECTION, "close");
    let keep = if new { !close } else { !close && lists(headers, &CONNECTION, "keep-alive") };
    // Without a body of its own a tunnel would follow.
    let tunnel = *method == Method::CONNECT && status.is_success();
    let keep = keep && !tunnel && decoder != Decoder::UntilEnd;
    Ok(Head { response, decoder, keep })
}

/// How an answer's body is framed: RFC 9112, section 6.3.
fn decoder(
    method: &Method,
    status: StatusCode,
    headers: &mut HeaderMap,
    new: bool,
) -> Result<Decoder, BadAnswer> {
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD
        || (*method == Method::CONNECT && status.is_success());
    if bodiless {
        return Ok(Decoder::Done);
    }
    if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        if !new {
            return Err(BadAnswer::Invalid("framing: HTTP/1.0 knows no transfer-encoding"));
        }
        let last = coding.to_str().unwrap_or_default().rsplit(',').next().unwrap_or_default();
        let chunked = last.trim().eq_ignore_ascii_case("chunked");
        // Of two lengths the chunks tell the true one.
        headers.remove(CONTENT_LENGTH);
        return Ok(if chunked { Decoder::chunked() } else { Decoder::UntilEnd });
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for word in value.to_str().unwrap_or_default().split(',') {
            let said = number(word.trim()).ok_or(BadAnswer::Invalid("content-length"))?;
            if *length.get_or_insert(said) != said {
                return Err(BadAnswer::Invalid("content-length"));
            }
        }
    }
    Ok(length.map_or(Decoder::UntilEnd, Decoder::length))
}

/// Digits and nothing else, which is less than what Rust reads as a number. The two largest numbers are none: in hyper,
/// which writes the answer on, they stand for bodies without a length.
fn number(word: &str) -> Option<u64> {
    let number = word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten();
    number.filter(|number| *number < u64::MAX - 1)
}
