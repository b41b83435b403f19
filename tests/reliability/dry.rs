//! A dry run touches nothing.

use crate::home::Home;

/// Every command that changes something, with what it must be given.
const LINES: &[&str] = &[
    "up --provider embedded",
    "up --provider embedded -o json",
    "up --context somewhere --image x",
    "cluster --provider embedded",
    "registry --provider embedded",
    "deploy",
    "deploy --delete",
    "push registry:2",
    "down",
    "start",
    "stop",
    "inject",
    "inject --remove",
    "sp apply",
    "sp delete",
    "fault bounced-service",
    "demo",
    "export files shipped",
];

#[test]
fn a_dry_run_leaves_an_empty_home_empty() {
    for line in LINES {
        let home = Home::new();
        // Some have nothing to act on and end with an error; that is not a reason to leave something either.
        let output = home.run(&format!("{line} --dry-run"));
        let left: Vec<_> =
            std::fs::read_dir(home.path()).expect("a folder").flatten().map(|e| e.path()).collect();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(left.is_empty(), "`meshy {line} --dry-run` left {left:?}: {talk}");
        assert!(!talk.contains("panicked"), "{talk}");
        assert_eq!(home.processes(), Vec::<u32>::new(), "`meshy {line} --dry-run` left a process");
    }
}

#[test]
fn a_dry_up_says_what_it_would_make() {
    let home = Home::new();
    let output = home.run("up --provider embedded --dry-run");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && talk.contains("would make lab `meshy`"), "{talk}");
}
