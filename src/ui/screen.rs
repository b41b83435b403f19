//! The screen: is there one, clearing it, keys, colours.

use std::io;

use console::{Term, style};

/// A terminal, or what takes its place.
#[derive(Clone, Debug)]
pub struct Screen(Term);

impl Screen {
    /// Returns the one that stderr writes to.
    pub fn stderr() -> Self {
        Self(Term::stderr())
    }

    /// Returns the one that stdout writes to.
    pub fn stdout() -> Self {
        Self(Term::stdout())
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.0.is_term()
    }

    /// Clears it.
    ///
    /// # Errors
    /// The stream cannot be written.
    pub fn clear(&self) -> io::Result<()> {
        self.0.clear_screen()
    }

    /// Clears the last lines.
    ///
    /// # Errors
    /// The stream cannot be written.
    pub fn clear_last_lines(&self, lines: usize) -> io::Result<()> {
        self.0.clear_last_lines(lines)
    }

    /// Waits for a key, in this thread.
    ///
    /// # Errors
    /// `Interrupted` for ctrl-C; the keyboard cannot be read.
    pub fn wait_for_key(&self) -> io::Result<()> {
        self.0.read_key().map(drop)
    }
}

/// Whether stdout is coloured.
pub fn has_colors() -> bool {
    console::colors_enabled()
}

/// Whether stderr is coloured.
pub fn has_colors_on_stderr() -> bool {
    console::colors_enabled_stderr()
}

/// Switches colours on or off.
pub fn set_colors(on: bool) {
    console::set_colors_enabled(on);
    console::set_colors_enabled_stderr(on);
}

/// Returns a text in bold letters where there are colours.
pub fn bold(text: &str) -> String {
    style(text).bold().to_string()
}

/// Returns a text in faint letters where there are colours.
pub fn dim(text: &str) -> String {
    style(text).dim().to_string()
}
