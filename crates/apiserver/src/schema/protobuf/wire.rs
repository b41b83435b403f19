//! The wire format of protobuf.

use super::Error;

/// The encoded value of a field.
pub(super) enum Wire<'a> {
    /// A varint or a fixed-size number.
    Number(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
}

/// Calls `visit` for each field of a message.
pub(super) fn each<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u32, Wire<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Error::FieldNumber)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Number(fixed::<8>(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| Error::Length)?;
                let (found, rest) = bytes.split_at_checked(length).ok_or(Error::UnexpectedEnd)?;
                bytes = rest;
                Wire::Bytes(found)
            }
            5 => Wire::Number(fixed::<4>(&mut bytes)?),
            other => return Err(Error::UnknownWireType(other)),
        };
        visit(number, value)?;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Error::UnexpectedEnd)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Error::Varint)
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<u64, Error> {
    let (found, rest) = bytes.split_first_chunk::<N>().ok_or(Error::UnexpectedEnd)?;
    *bytes = rest;
    Ok(found.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
