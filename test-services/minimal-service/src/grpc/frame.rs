//! The frame of a gRPC message, and the message: `message Message { bytes body = 1; }`.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The flag and the length of a frame.
const HEAD: usize = 5;
/// The key of the field `body`: number 1, length-delimited.
const BODY: u8 = 0x0a;

/// Why bytes are not one frame with one message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The flag of compression is set; no compression was offered.
    #[error("the message is compressed")]
    Compressed,
    /// The bytes end within the frame, or more than one frame arrived.
    #[error("the request is not one frame")]
    Length,
    /// The frame is not a protobuf message.
    #[error("the frame is not a message")]
    Message,
}

/// Returns the frame of a message with this body.
#[must_use]
pub fn encode_message(body: &[u8]) -> Bytes {
    let prefix = prefix(body.len() as u64);
    let mut frame = BytesMut::with_capacity(prefix.len() + body.len());
    frame.put_slice(&prefix);
    frame.put_slice(body);
    frame.freeze()
}

/// Returns what precedes a body of this size: the head of the frame, and the key and the length of the field. An empty body
/// is an empty message.
pub(crate) fn prefix(size: u64) -> Bytes {
    let mut field = BytesMut::new();
    if size > 0 {
        field.put_u8(BODY);
        put_varint(&mut field, size);
    }
    let mut prefix = BytesMut::with_capacity(HEAD + field.len());
    prefix.put_u8(0);
    // A longer message than 4 GiB has no frame; nothing here sends one.
    prefix.put_u32(u32::try_from(size + field.len() as u64).unwrap_or(u32::MAX));
    prefix.put_slice(&field);
    prefix.freeze()
}

/// Returns the body of the message in a frame. Fields of other numbers are skipped; of several bodies the last one applies.
///
/// # Errors
/// Returns an error if the bytes are not exactly one uncompressed frame with one message.
pub fn decode_message(frame: &Bytes) -> Result<Bytes, FrameError> {
    let head = frame.get(..HEAD).ok_or(FrameError::Length)?;
    match head[0] {
        0 => {}
        1 => return Err(FrameError::Compressed),
        _ => return Err(FrameError::Length),
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if frame.len() - HEAD != length as usize {
        return Err(FrameError::Length);
    }
    let message = frame.slice(HEAD..);
    let (mut at, mut body) = (0, Bytes::new());
    while at < message.len() {
        let key = varint(&message, &mut at)?;
        let number = key >> 3;
        if number == 0 {
            return Err(FrameError::Message);
        }
        let size = match key & 7 {
            0 => {
                varint(&message, &mut at)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&message, &mut at)?).map_err(|_| FrameError::Message)?,
            5 => 4,
            _ => return Err(FrameError::Message),
        };
        let end = at.checked_add(size).filter(|end| *end <= message.len()).ok_or(FrameError::Message)?;
        if key == u64::from(BODY) {
            body = message.slice(at..end);
        }
        at = end;
    }
    Ok(body)
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Reads a number of at most ten bytes.
fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, FrameError> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at).ok_or(FrameError::Message)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return Err(FrameError::Message);
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(FrameError::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_frame_and_returns_unchanged() {
        for length in [0, 1, 127, 128, 20_000] {
            let body = vec![b'x'; length];
            assert_eq!(decode_message(&encode_message(&body)).unwrap(), body, "{length}");
        }
        // As protoc encodes `body: "hi"`.
        assert_eq!(encode_message(b"hi"), b"\0\0\0\0\x04\x0a\x02hi".as_slice());
        assert_eq!(encode_message(b""), b"\0\0\0\0\0".as_slice());
    }

    #[test]
    fn other_fields_are_skipped_and_the_last_body_applies() {
        let message = b"\x10\x96\x01\x19........\x0a\x01a\x25....\x1a\x02zz\x0a\x01b";
        let mut frame = vec![0, 0, 0, 0, message.len() as u8];
        frame.extend_from_slice(message);
        assert_eq!(decode_message(&frame.into()).unwrap(), b"b".as_slice());
    }

    #[test]
    fn anything_else_is_an_error() {
        let of = |bytes: &'static [u8]| decode_message(&Bytes::from_static(bytes)).unwrap_err();
        assert_eq!(of(b"\x01\0\0\0\0"), FrameError::Compressed);
        assert_eq!(of(b"\x02\0\0\0\0"), FrameError::Length);
        assert_eq!(of(b"\0\0\0\0"), FrameError::Length);
        assert_eq!(of(b"\0\0\0\0\x02a"), FrameError::Length);
        assert_eq!(of(b"\0\0\0\0\0\0\0\0\0\0"), FrameError::Length, "two frames");
        assert_eq!(of(b"\0\0\0\0\x02\x0a\x05"), FrameError::Message, "a body longer than the message");
        assert_eq!(of(b"\0\0\0\0\x01\x0b"), FrameError::Message, "a group");
        assert_eq!(of(b"\0\0\0\0\x02\x02\0"), FrameError::Message, "field 0");
        assert_eq!(of(b"\0\0\0\0\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), FrameError::Message);
    }
}
