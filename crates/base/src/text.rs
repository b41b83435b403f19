//! Text from outside (clusters, files, servers, programs), made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The largest number of bytes of a cause that is shown.
pub const LONGEST_CAUSE: usize = 2048;

/// Returns the text with control characters and characters that change the direction of text as `\\u{..}`. Line breaks and
/// tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Returns the text as [`printable`], without what a program used to colour it: escape sequences of the form `ESC [ … m` stay.
pub fn printable_with_colors(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unsafe(c) && c != '\u{1b}') && !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = color_sequence(rest).unwrap_or(0);
        if length > 0 {
            safe.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        safe.push_str(&printable(&rest[..c.len_utf8()]));
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(safe)
}

/// Returns a cause as [`printable`], cut at [`LONGEST_CAUSE`] bytes with the number of bytes left out.
pub fn cause(text: &str) -> String {
    if text.len() <= LONGEST_CAUSE {
        return printable(text).into_owned();
    }
    let end = (0..=LONGEST_CAUSE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{} … ({} bytes more)", printable(&text[..end]), text.len() - end)
}

/// The length of a sequence `ESC [ digits and semicolons m` at the start of a text.
fn color_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

/// C0 and C1 control characters, and marks that reorder text (Unicode Standard Annex 9).
fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_written_as_numbers() {
        assert_eq!(
            printable("a\u{1b}[2Jb\rc\u{9b}d\u{202e}e\n\tf"),
            "a\\u{1b}[2Jb\\u{d}c\\u{9b}d\\u{202e}e\n\tf"
        );
        assert!(matches!(printable("größe ✓"), Cow::Borrowed("größe ✓")));
    }

    #[test]
    fn only_sequences_that_set_colors_stay() {
        let text = "\u{1b}[1;32mok\u{1b}[0m \u{1b}[2J\u{1b}]0;x\u{7}";
        assert_eq!(printable_with_colors(text), "\u{1b}[1;32mok\u{1b}[0m \\u{1b}[2J\\u{1b}]0;x\\u{7}");
    }

    #[test]
    fn a_long_cause_is_cut_between_characters() {
        let text = cause(&"ß".repeat(LONGEST_CAUSE));
        assert!(text.ends_with("ß … (2048 bytes more)"), "{}", &text[text.len() - 40..]);
        assert_eq!(cause("short"), "short");
    }
}
