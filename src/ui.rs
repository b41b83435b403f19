//! The terminal: talk on stderr through [`Report`], data on stdout through [`data`].

use std::io::{ErrorKind, Write};

use crate::activity::{self, Kind};

pub mod hush;
pub mod log;
mod report;
pub mod table;

pub use report::{Report, Step};
pub use table::Table;

/// Prints data on stdout, ended by a line break. A reader that went away (`meshy … | head`) is no error.
///
/// # Errors
/// Stdout cannot be written for another reason.
pub fn data(text: &str) -> anyhow::Result<()> {
    let _writing = activity::begin(Kind::File, "writing to stdout");
    let mut out = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()))
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
