//! Texts from outside, made safe to show: names can come from any cluster.

/// Returns a text of at most `most` characters, the last one `…` if it was cut. Characters that control a terminal, the direction of
/// text or its width become `\u{fffd}`.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let mut characters = text.chars().map(|c| if is_hostile(c) { '\u{fffd}' } else { c });
    let mut short: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

fn is_hostile(c: char) -> bool {
    let is_invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || is_invisible
}

/// Returns a text that XML and HTML show as it is.
pub(crate) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
