//! The terminal: progress on stderr through [`report`], data on stdout through [`data`].

use std::io::{ErrorKind, Write};

use meshy_base::activity::{self, Kind};
use meshy_base::text::printable_with_colors;

pub mod error;
mod fold;
pub mod log;
pub mod no_echo;
mod screen;
pub(crate) mod spark;
pub mod table;
mod terminal;

pub use screen::{Screen, bold, dim, has_colors, has_colors_on_stderr, set_colors};
pub use table::Table;
pub use terminal::report;

/// Prints text for a reader as [`data`] does; on a terminal, lines break between words.
///
/// # Errors
/// As [`data`].
pub fn text(text: &str) -> anyhow::Result<()> {
    match table::terminal() {
        Some(columns) => data(&fold::fold(text, columns)),
        None => data(text),
    }
}

/// Prints data on stdout, ended by a line break, with the control characters of foreign text as numbers. A closed pipe
/// (`meshy … | head`) is not an error.
///
/// # Errors
/// Returns an error if stdout cannot be written for another reason.
pub fn data(text: &str) -> anyhow::Result<()> {
    let text = printable_with_colors(text);
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
