//! What a program's file declares: enough to refuse one that could not run in an image made of nothing else.

use thiserror::Error;

/// A processor architecture that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// Why a file cannot be an image's only program.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ElfError {
    /// Not a Linux program, or one whose headers are broken.
    #[error("it is not a 64-bit little-endian ELF program")]
    NoProgram,
    /// For another processor than images are made for here.
    #[error("its machine {0} is neither x86-64 (62) nor aarch64 (183)")]
    Machine(u16),
    /// Wants a loader, which the image has not.
    #[error(
        "it is linked dynamically and an empty image has no loader\n\
         hint: compile it with RUSTFLAGS='-C target-feature=+crt-static' and an explicit --target"
    )]
    Dynamic,
}

impl Arch {
    /// The name in images, which is Go's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The architecture that this binary runs on, and so the engine next to it.
    pub fn here() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The architecture of a static program.
    ///
    /// # Errors
    /// When the bytes are no such program.
    pub fn of_static(program: &[u8]) -> Result<Self, ElfError> {
        // Magic, 64 bits, little-endian; offsets below are those of the ELF-64 header.
        if program.get(..6) != Some(b"\x7fELF\x02\x01") {
            return Err(ElfError::NoProgram);
        }
        let arch = match half(program, 18)? {
            62 => Self::Amd64,
            183 => Self::Arm64,
            other => return Err(ElfError::Machine(other)),
        };
        let table = usize::try_from(long(program, 32)?).map_err(|_| ElfError::NoProgram)?;
        let (size, entries) = (half(program, 54)?, half(program, 56)?);
        if entries == 0 {
            return Err(ElfError::NoProgram);
        }
        for entry in 0..usize::from(entries) {
            const INTERPRETER: u32 = 3;
            let at = table.checked_add(entry * usize::from(size)).ok_or(ElfError::NoProgram)?;
            if word(program, at)? == INTERPRETER {
                return Err(ElfError::Dynamic);
            }
        }
        Ok(arch)
    }
}

fn bytes<const N: usize>(program: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let end = at.checked_add(N).ok_or(ElfError::NoProgram)?;
    let bytes = program.get(at..end).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(ElfError::NoProgram)
}

fn half(program: &[u8], at: usize) -> Result<u16, ElfError> {
    Ok(u16::from_le_bytes(bytes(program, at)?))
}

fn word(program: &[u8], at: usize) -> Result<u32, ElfError> {
    Ok(u32::from_le_bytes(bytes(program, at)?))
}

fn long(program: &[u8], at: usize) -> Result<u64, ElfError> {
    Ok(u64::from_le_bytes(bytes(program, at)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The headers of a program with one segment of a kind.
    pub(crate) fn program(machine: u16, segment: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&segment.to_le_bytes());
        bytes
    }

    #[test]
    fn a_static_programs_architecture_is_read() {
        assert_eq!(Arch::of_static(&program(62, 1)), Ok(Arch::Amd64));
        assert_eq!(Arch::of_static(&program(183, 1)), Ok(Arch::Arm64));
    }

    #[test]
    fn what_could_not_run_alone_is_refused() {
        assert_eq!(Arch::of_static(&program(62, 3)), Err(ElfError::Dynamic));
        assert_eq!(Arch::of_static(&program(243, 1)), Err(ElfError::Machine(243)));
        assert_eq!(Arch::of_static(b"#!/bin/sh\n"), Err(ElfError::NoProgram));
    }

    #[test]
    fn a_broken_program_is_refused_wherever_it_is_cut() {
        let whole = program(62, 1);
        for end in 0..68 {
            assert_eq!(Arch::of_static(&whole[..end]), Err(ElfError::NoProgram), "cut at {end}");
        }
        let mut far = whole;
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(Arch::of_static(&far), Err(ElfError::NoProgram));
    }
}
