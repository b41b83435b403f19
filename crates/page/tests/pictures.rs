//! The pictures of the docs show what there is: `docs/pictures/shown.txt` names texts in them and where each comes from.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn what_the_pictures_show_still_exists() {
    let list = std::fs::read_to_string(root().join("docs/pictures/shown.txt")).unwrap();
    let mut checked = 0;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [picture, text, source] = parts[..] else { panic!("not PICTURE | TEXT | SOURCE: {line}") };
        let picture = root().join("docs/pictures").join(picture);
        if picture.extension().is_some_and(|end| end == "svg") {
            let content = std::fs::read_to_string(&picture).unwrap();
            assert!(content.contains(text), "{}: `{text}`; run docs/pictures/make", picture.display());
        } else {
            assert!(picture.is_file(), "{} is missing; run docs/pictures/make", picture.display());
        }
        let (file, wanted) = source.split_once(": ").unwrap();
        let content = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(
            content.contains(wanted),
            "{file} has no `{wanted}`: run docs/pictures/make and change shown.txt"
        );
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} texts were checked");
}
