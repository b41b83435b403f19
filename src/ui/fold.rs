//! Lines that fit the terminal: broken between words and not within one.

use console::measure_text_width;

/// Breaks each line that is wider than `width` at spaces; what follows keeps the indent of its line. A word that is wider alone
/// stays whole. Spaces within a line that fits are kept, so tables that fit stay as they are.
pub(super) fn fold(text: &str, width: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
        if measure_text_width(content) <= width {
            folded.push_str(content);
        } else {
            folded.push_str(&broken(content, width));
        }
        folded.push_str(end);
    }
    folded
}

fn broken(line: &str, width: usize) -> String {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let mut lines = vec![indent.clone()];
    let mut used = indent.len();
    for word in line.split_whitespace() {
        let columns = measure_text_width(word);
        let starts = used == indent.len();
        if !starts && used + 1 + columns > width {
            lines.push(format!("{indent}{word}"));
            used = indent.len() + columns;
            continue;
        }
        let Some(last) = lines.last_mut() else { continue };
        if !starts {
            last.push(' ');
        }
        last.push_str(word);
        used += columns + usize::from(!starts);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_with_its_indent() {
        let text = "measured 100 %, inside the predicted range\n  a   b\n  one two three\n";
        assert_eq!(
            fold(text, 12),
            "measured 100\n%, inside\nthe\npredicted\nrange\n  a   b\n  one two\n  three\n"
        );
        assert_eq!(fold("unbreakable", 4), "unbreakable");
        assert_eq!(fold(text, 80), text);
    }
}
