//! The files of the page: size, origin, and what makes one file of them.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::*;

/// The most bytes of all files.
const LARGEST: usize = 300 * 1024;

/// Files that were not written here: from the npm package `uplot` 1.6.32, MIT, as the package has them in `dist/`.
const VENDORED: [(&str, &str, &str); 3] = [
    (
        "uPlot.iife.min.js",
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        include_str!("../../assets/vendor/uPlot.iife.min.js"),
    ),
    (
        "uPlot.min.css",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        include_str!("../../assets/vendor/uPlot.min.css"),
    ),
    (
        "uPlot.LICENSE",
        "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
        include_str!("../../assets/vendor/uPlot.LICENSE"),
    ),
];

#[test]
fn the_page_is_small() {
    let size: usize = all().map(|asset| asset.content.len()).sum();
    assert!(size <= LARGEST, "{size} bytes");
}

#[test]
fn vendored_files_are_those_of_the_package() {
    for (name, expected, content) in VENDORED {
        let found: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "{name}");
    }
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/vendor")).unwrap();
    assert_eq!(folder.count(), VENDORED.len(), "each vendored file has its hash here");
}

#[test]
fn all_files_of_the_folder_are_served() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in names.filter(|name| name != "vendor" && name != "template.html") {
        assert!(find(&format!("/{name}")).is_some(), "{name}");
    }
    for path in ["/", "/speaker"] {
        let page = find(path).unwrap();
        assert_eq!(page.media_type, HTML);
        assert!(page.content.ends_with("</body>\n</html>\n") && !page.content.contains("{files}"), "{path}");
    }
}

#[test]
fn text_from_outside_never_becomes_markup() {
    let markup =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"];
    let own = MODULES.iter().chain(&OTHERS).filter(|asset| asset.path != "icon.svg");
    for asset in own {
        for word in markup {
            assert!(!asset.content.contains(word), "{}: {word}", asset.path);
        }
    }
    for page in [page(), speaker()] {
        let handlers = page
            .content
            .split(" on")
            .skip(1)
            .filter(|rest| rest.trim_start_matches(|c: char| c.is_ascii_lowercase()).starts_with('='));
        assert!(!page.content.contains(" style=") && handlers.count() == 0, "the policy forbids inline code");
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    for asset in all() {
        let found = asset
            .content
            .split("http")
            .skip(1)
            .filter(|rest| rest.starts_with("://") || rest.starts_with("s://"));
        let allowed = |rest: &&str| {
            rest.starts_with("://www.w3.org/2000/svg") || rest.starts_with("s://github.com/leeoniya/uPlot")
        };
        assert!(
            found.clone().all(|rest| allowed(&rest)),
            "{}: {:?}",
            asset.path,
            found.map(|r| &r[..20]).collect::<Vec<_>>()
        );
    }
}

#[test]
fn modules_can_be_joined() {
    let mut owners = BTreeMap::new();
    let mut known: Vec<&str> = Vec::new();
    for module in MODULES {
        for line in module.content.lines() {
            if let Some(import) = line.strip_prefix("import ") {
                let from =
                    import.split_once("from \"./").expect("an import of one line").1.trim_end_matches("\";");
                assert!(known.contains(&from), "{} imports {from}, which does not come before", module.path);
                assert!(!import.contains(" as "), "{}: an import with another name", module.path);
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let name = ["const ", "let ", "function ", "async function ", "class "]
                .iter()
                .find_map(|word| line.strip_prefix(word))
                .map(|rest| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
                });
            if let Some(name) = name {
                assert_eq!(owners.insert(name, module.path), None, "{name} in {}", module.path);
            }
        }
        known.push(module.path);
    }
    for asset in [crate::save::script(), CHARTS.content.to_owned()] {
        assert!(!asset.contains("</script") && !asset.contains("<!--"), "a script cannot contain its end");
    }
}
