//! The causes of an invalid object. Their number and length are bounded: a request body has up to 3 MiB.

use super::{ApiError, Cause};

/// Maximum causes of an error; the number of the others is part of the message.
const MAX_CAUSES: usize = 100;
/// Maximum bytes of the message and of the field of a cause.
const MAX_TEXT: usize = 1024;

/// The invalid fields of an object.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    list: Vec<Cause>,
    omitted: usize,
}

impl Causes {
    /// Returns whether no field is invalid.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a cause, or counts it if there are too many.
    pub(crate) fn push(&mut self, mut cause: Cause) {
        if self.list.len() == MAX_CAUSES {
            self.omitted += 1;
            return;
        }
        shorten(&mut cause.message);
        shorten(&mut cause.field);
        self.list.push(cause);
    }

    /// Returns error 422 for an object of a kind and group.
    pub(crate) fn into_error(self, kind: &str, group: &str, name: &str) -> ApiError {
        let mut name = name.to_owned();
        shorten(&mut name);
        let mut error = ApiError::invalid(kind, group, &name, &self.list);
        if self.omitted > 0 {
            error.message = format!("{} and {} more", error.message, self.omitted);
        }
        error
    }
}

impl Extend<Cause> for Causes {
    fn extend<T: IntoIterator<Item = Cause>>(&mut self, causes: T) {
        causes.into_iter().for_each(|cause| self.push(cause));
    }
}

/// Cuts a text to [`MAX_TEXT`] bytes.
fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
}
