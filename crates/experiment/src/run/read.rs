//! Reads a run's file: bounded, strict about the version, tolerant of a last line that was not finished.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;

use super::Run;
use crate::event::{Event, VERSION};

/// A tick with 500 samples and 1,000 edges has about 400 KB.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;
/// An hour of ticks with 500 samples each second has about 150 MB.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// A file cannot be read as a run.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Reading failed.
    #[error("cannot read the run")]
    Io(#[from] io::Error),
    /// Another version of meshy wrote it.
    #[error("the run has format {found}, this version of meshy reads format {VERSION}")]
    Version {
        /// The version in the file.
        found: u64,
    },
    /// A line is not an event.
    #[error("line {line} is not an event of a run")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The file or a line is larger than any run's.
    #[error("the run is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// There is no event.
    #[error("the file contains no event of a run")]
    Empty,
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Run {
    /// Reads a recorded run. A last line that was not finished is left out.
    ///
    /// # Errors
    /// The reader fails, another version wrote the file, a line is not an event, or the file is too large.
    pub fn read(mut reader: impl BufRead) -> Result<Self, ReadError> {
        let (mut events, mut truncated, mut total) = (Vec::new(), false, 0);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line)?;
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            total += read;
            if read > LONGEST_LINE {
                return Err(ReadError::TooLarge { limit: LONGEST_LINE });
            }
            if total > LARGEST_FILE {
                return Err(ReadError::TooLarge { limit: LARGEST_FILE });
            }
            if read == 0 {
                break;
            }
            let finished = line.last() == Some(&b'\n');
            match event(&line, number) {
                Ok(event) => events.push(event),
                // Also an unfinished line that is whole by chance has been read above.
                Err(ReadError::Line { .. }) if !finished => truncated = true,
                Err(error) => return Err(error),
            }
        }
        if events.is_empty() { Err(ReadError::Empty) } else { Ok(Self { events, truncated }) }
    }
}

fn event(line: &[u8], number: usize) -> Result<Event, ReadError> {
    let invalid = |source| ReadError::Line { line: number, source };
    let versioned: Versioned = serde_json::from_slice(line).map_err(invalid)?;
    if versioned.version != u64::from(VERSION) {
        return Err(ReadError::Version { found: versioned.version });
    }
    serde_json::from_slice(line).map_err(invalid)
}
