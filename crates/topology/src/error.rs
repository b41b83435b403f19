//! The errors of topology files.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a topology cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read topology `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Neither a shipped topology nor a file has this name.
    #[error("unknown topology `{name}`{}", did_you_mean(nearest.as_deref()))]
    Unknown {
        /// The name as written.
        name: String,
        /// The shipped name that is most like it.
        nearest: Option<String>,
    },
    /// The text is not a valid topology.
    #[error(transparent)]
    Invalid(#[from] Problem),
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or another name of the text.
    pub place: String,
    /// The line, from 1; 0 if it is not known.
    pub line: u64,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// The valid name that is most like the invalid one.
    pub nearest: Option<String>,
}

impl Problem {
    /// Returns a problem in a line.
    #[must_use]
    pub fn new(place: &str, line: u64, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line, message: message.into(), nearest: None }
    }

    /// Adds the valid name that is most like the invalid one.
    #[must_use]
    pub fn nearest(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = if self.line == 0 { String::new() } else { format!("{}: ", self.line) };
        let space = if self.line == 0 { " " } else { "" };
        write!(f, "{}:{space}{line}{}{}", self.place, self.message, did_you_mean(self.nearest.as_deref()))
    }
}

impl std::error::Error for Problem {}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Returns the candidate that is most like `word`, if a typing error can explain the difference.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer word is not a typing error, and the distance takes time that grows with the product of the lengths.
    if word.len() > 256 {
        return None;
    }
    let word = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate)).min()?;
    // Two letters have nothing in common after one change.
    let most = match word.chars().count() {
        0..3 => 0,
        length => length / 3,
    };
    (near.0 <= most).then_some(near.1)
}
