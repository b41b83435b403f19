//! The body of an answer by RFC 9112, section 6 and 7: a length, chunks, or until the end of the connection.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use httparse::Status;

/// The longest line that tells a chunk's size, and the longest trailers; hyper's limits.
const LINE: usize = 16 * 1024;
const TRAILERS: usize = 16 * 1024;
/// The most trailers.
const FIELDS: usize = 100;

/// What is still to come of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes, more than none.
    Length(u64),
    Chunked(Chunk),
    /// Whatever comes until the connection ends.
    UntilEnd,
    Done,
}

/// Where in a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size,
    /// So many bytes are left of the chunk.
    Data(u64),
    /// The line end behind a chunk's data.
    DataEnd,
    Trailers,
}

impl Decoder {
    pub(super) fn length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    pub(super) fn is_done(&self) -> bool {
        *self == Self::Done
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Done => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilEnd => SizeHint::default(),
        }
    }

    /// The next piece. Without one the body is done or the input is too short.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Frame<Bytes>>> {
        loop {
            match self {
                Self::Done => return Ok(None),
                Self::UntilEnd => return Ok(data(input, &mut { u64::MAX })),
                Self::Length(left) => {
                    let frame = data(input, left);
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(frame);
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let frame = data(input, left);
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::DataEnd);
                    }
                    return Ok(frame);
                }
                Self::Chunked(Chunk::Size) => match httparse::parse_chunk_size(input) {
                    // httparse takes a size without a digit for nought.
                    Ok(Status::Complete(_)) if !input[0].is_ascii_hexdigit() => {
                        return Err(bad("a chunk's size that is none"));
                    }
                    Ok(Status::Complete((read, size))) => {
                        strict(&input[..read])?;
                        input.advance(read);
                        *self = Self::Chunked(if size == 0 { Chunk::Trailers } else { Chunk::Data(size) });
                    }
                    Ok(Status::Partial) if input.len() <= LINE => return Ok(None),
                    Ok(Status::Partial) => return Err(bad("a chunk's size of more than 16 KiB")),
                    Err(_) => return Err(bad("a chunk's size that is none")),
                },
                Self::Chunked(Chunk::DataEnd) => {
                    if input.len() < 2 {
                        return Ok(None);
                    }
                    if &input[..2] != b"\r\n" {
                        return Err(bad("a chunk longer than its size"));
                    }
                    input.advance(2);
                    *self = Self::Chunked(Chunk::Size);
                }
                Self::Chunked(Chunk::Trailers) => {
                    let Some((read, trailers)) = trailers(input)? else { return Ok(None) };
                    strict(&input[..read])?;
                    input.advance(read);
                    *self = Self::Done;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
            }
        }
    }

    /// The connection ended.
    pub(super) fn ended(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Done) {
            Self::UntilEnd | Self::Done => Ok(()),
            Self::Length(_) | Self::Chunked(_) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within the body"))
            }
        }
    }
}

/// What the input has of the bytes that are left, which it takes off them.
fn data(input: &mut BytesMut, left: &mut u64) -> Option<Frame<Bytes>> {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= length as u64;
    (length > 0).then(|| Frame::data(input.split_to(length).freeze()))
}

/// The trailers and their length, once all are there.
fn trailers(input: &[u8]) -> io::Result<Option<(usize, HeaderMap)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    match httparse::parse_headers(input, &mut fields) {
        Ok(Status::Complete((read, fields))) => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                let (Ok(name), Ok(value)) = (name, value) else { return Err(bad("a trailer that is none")) };
                trailers.append(name, value);
            }
            Ok(Some((read, trailers)))
        }
        Ok(Status::Partial) if input.len() <= TRAILERS => Ok(None),
        Ok(Status::Partial) => Err(bad("trailers of more than 16 KiB")),
        Err(_) => Err(bad("trailers that are none")),
    }
}

/// Takes only whole line ends: where one reader sees an end and another does not, a message could be hidden.
fn strict(lines: &[u8]) -> io::Result<()> {
    let bare = |(at, byte): (usize, &u8)| *byte == b'\n' && (at == 0 || lines[at - 1] != b'\r');
    if lines.iter().enumerate().any(bare) { Err(bad("a line end without a carriage return")) } else { Ok(()) }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pieces when the input comes in parts of this length; the rest of the input; or the error.
    fn all(
        mut decoder: Decoder,
        text: &[u8],
        part: usize,
    ) -> Result<(Vec<u8>, Option<HeaderMap>, usize), String> {
        let (mut input, mut body, mut trailers) = (BytesMut::new(), Vec::new(), None);
        let mut rest = text;
        loop {
            while let Some(frame) = decoder.decode(&mut input).map_err(|error| error.to_string())? {
                match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            if decoder.is_done() {
                return Ok((body, trailers, input.len() + rest.len()));
            }
            if rest.is_empty() {
                decoder.ended().map_err(|error| error.to_string())?;
                continue;
            }
            let (now, later) = rest.split_at(part.min(rest.len()));
            input.extend_from_slice(now);
            rest = later;
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut_into_reads() {
        let chunked = b"5;x=y\r\nhello\r\n1\r\n \r\n00A\r\n0123456789\r\n0\r\nx-sum: 7\r\n\r\nmore";
        for part in 1..=chunked.len() {
            let (body, trailers, rest) = all(Decoder::chunked(), chunked, part).unwrap();
            assert_eq!((&body[..], rest), (b"hello 0123456789".as_slice(), 4));
            assert_eq!(trailers.unwrap()["x-sum"], "7");
            assert_eq!(all(Decoder::length(3), b"abcdef", part).unwrap(), (b"abc".to_vec(), None, 3));
            assert_eq!(all(Decoder::UntilEnd, b"abcdef", part).unwrap(), (b"abcdef".to_vec(), None, 0));
        }
    }

    #[test]
    fn a_body_that_is_cut_or_badly_chunked_is_an_error() {
        for bad in [
            "5\r\nhell",
            "5\r\nhello",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "\r\n\r\n",
            ";x\r\n\r\n",
            " \r\n\r\n",
            "-1\r\n",
            "ffffffffffffffffff\r\n",
            "0\r\nno trailer\r\n\r\n",
            "1;a\nb\r\nx\r\n0\r\n\r\n",
            "0\r\na: b\n\r\n",
        ] {
            for part in [1, 3, 100] {
                assert!(all(Decoder::chunked(), bad.as_bytes(), part).is_err(), "{bad:?}");
            }
        }
        assert!(all(Decoder::length(3), b"ab", 1).is_err());
        let endless = [b"1;".as_slice(), &[b'x'; 2 * LINE]].concat();
        assert!(all(Decoder::chunked(), &endless, 1000).unwrap_err().contains("16 KiB"));
        let endless = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(TRAILERS / 4)].concat();
        assert!(all(Decoder::chunked(), &endless, 1000).is_err());
    }
}
