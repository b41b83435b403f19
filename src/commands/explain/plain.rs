//! A page in Markdown as text for a terminal.

use crate::summary::wrapped;

/// Returns the page with paragraphs and list items in lines of at most `width` characters, and links as their text
/// alone. Headings, tables and code stay as they are.
pub(super) fn text(page: &str, width: usize) -> String {
    let (mut lines, mut paragraph, mut is_code) = (Vec::new(), String::new(), false);
    for line in page.lines() {
        let is_fence = line.starts_with("```");
        let is_kept = is_code || is_fence || line.is_empty() || line.starts_with(['#', '|']);
        if is_kept || line.starts_with("- ") {
            lines.extend(filled(&std::mem::take(&mut paragraph), width));
        }
        if is_kept {
            lines.push(line.to_owned());
        } else {
            paragraph.push_str(line.trim());
            paragraph.push(' ');
        }
        is_code ^= is_fence;
    }
    lines.extend(filled(&paragraph, width));
    lines.join("\n")
}

/// A paragraph, or an item of a list, in lines.
fn filled(paragraph: &str, width: usize) -> Vec<String> {
    if paragraph.is_empty() {
        return Vec::new();
    }
    let text = without_links(paragraph);
    match text.strip_prefix("- ") {
        None => wrapped(&text, width),
        Some(item) => {
            let lines = wrapped(item, width - 2).into_iter().enumerate();
            lines.map(|(n, line)| format!("{}{line}", if n == 0 { "- " } else { "  " })).collect()
        }
    }
}

/// `[text](place)` as `text`.
fn without_links(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        rest = match words_of(link) {
            Some((words, after)) => {
                plain.push_str(words);
                after
            }
            None => {
                plain.push('[');
                link
            }
        };
    }
    plain + rest
}

/// The words of a link whose `[` stands before the text, and what follows the link.
fn words_of(link: &str) -> Option<(&str, &str)> {
    let (words, place) = link.split_once("](")?;
    let (_, after) = place.split_once(')')?;
    (!words.contains(['[', ']'])).then_some((words, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_and_code_is_not() {
        let page = "# a: title\n\nOne two\nthree [four](#four) five.\n\n- first\n  item here\n- second\n\n```yaml\na: [b](c)  # long long long\n```";
        let shown = "# a: title\n\nOne two three\nfour five.\n\n- first item\n  here\n- second\n\n```yaml\na: [b](c)  # long long long\n```";
        assert_eq!(text(page, 13), shown);
    }

    #[test]
    fn brackets_without_a_place_stay() {
        assert_eq!(without_links("a [default: 2], `a[0]` and [b](c.md)"), "a [default: 2], `a[0]` and b");
    }
}
