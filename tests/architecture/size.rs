//! Files stay short enough to be read in one go.

use crate::sources;

/// The most lines that a Rust file may have.
const MOST_LINES: usize = 400;

#[test]
fn no_rust_file_has_more_than_400_lines() {
    let files = sources::with_extension(&["rs"]);
    assert!(files.len() > 300, "only {} files were read", files.len());
    let long: Vec<String> =
        files.iter().filter_map(|f| too_long(&f.text).map(|n| format!("{}: {n} lines", f.path))).collect();
    assert!(long.is_empty(), "split these files by subject:\n{}", long.join("\n"));
}

#[test]
fn a_file_of_401_lines_is_found() {
    assert_eq!(too_long(&"x\n".repeat(MOST_LINES)), None);
    assert_eq!(too_long(&"x\n".repeat(MOST_LINES + 1)), Some(401));
}

fn too_long(text: &str) -> Option<usize> {
    Some(text.lines().count()).filter(|lines| *lines > MOST_LINES)
}
