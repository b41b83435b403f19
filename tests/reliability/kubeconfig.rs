//! The user's kubeconfig: many writers, odd files, nothing foreign touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::home::Home;

#[test]
fn labs_that_come_and_go_at_once_lose_no_entry_and_are_never_half_written() {
    let home = Home::new();
    fs::create_dir(home.path().join(".kube")).expect("a folder");
    let foreign = "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts:\n- name: mine\n  context: {cluster: c, user: u}\ncurrent-context: mine\n";
    fs::write(home.kubeconfig(), foreign).expect("a kubeconfig");
    fs::set_permissions(home.kubeconfig(), fs::Permissions::from_mode(0o600)).expect("a mode");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0u32;
            while !over.load(Ordering::Relaxed) {
                let text = fs::read_to_string(home.kubeconfig()).expect("it is always there");
                let parsed: serde_json::Value = serde_yaml::from_str(&text).expect("it is always whole");
                assert_eq!(parsed["kind"], "Config");
                let mode = fs::metadata(home.kubeconfig()).expect("it is there").permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                reads += 1;
            }
            reads
        });
        let writers: Vec<_> = (0..6)
            .map(|i| {
                let home = &home;
                scope.spawn(move || {
                    for _ in 0..2 {
                        home.good(&format!("up --provider embedded --name lab{i}"));
                        let text = fs::read_to_string(home.kubeconfig()).expect("it is there");
                        assert!(text.contains(&format!("embedded-lab{i}")), "an entry was lost");
                        assert!(text.contains("name: mine"), "the user's own context was lost");
                        home.good(&format!("down --yes --name lab{i}"));
                    }
                })
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("the reader saw only whole files") > 10);
        assert!(results.iter().all(Result::is_ok), "a writer failed");
    });
    let text = fs::read_to_string(home.kubeconfig()).expect("it is there");
    assert!(!text.contains("embedded-lab") && text.contains("name: mine"), "{text}");
}

#[test]
fn foreign_bytes_of_a_large_and_odd_kubeconfig_are_unchanged_after_up_and_down() {
    use std::fmt::Write as _;
    let home = Home::new();
    let mut text = String::from(
        "# written by hand\napiVersion: v1\nkind: Config\npreferences: {colors: true}\nx-tool:\n  - {a: 1}   # odd spacing\n",
    );
    for (section, entry) in [
        ("clusters", "cluster: {server: 'https://h'}"),
        ("users", "user: {token: \"t\"}"),
        ("contexts", "context: {cluster: c0, user: u0}"),
    ] {
        let _ = writeln!(text, "{section}:");
        for i in 0..200 {
            let _ = writeln!(text, "- name: {}{i}\n  {entry}", &section[..1]);
        }
    }
    text.push_str("current-context: c7\n");
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    fs::write(&second, &text).expect("a file");
    fs::set_permissions(&second, fs::Permissions::from_mode(0o640)).expect("a mode");
    symlink(&second, &first).expect("a link");
    let other = home.path().join("other");
    fs::write(&other, "kind: Config\n# other\n").expect("a file");
    // The same file twice, as shells that append to the variable leave it.
    let list = format!("{0}:{1}:{0}", first.display(), other.display());
    for line in ["up --provider embedded", "down --yes"] {
        let output = home.command(line).env("KUBECONFIG", &list).output().expect("it starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fs::read_to_string(&second).expect("it is there"), text);
    assert_eq!(fs::read_to_string(&other).expect("it is there"), "kind: Config\n# other\n");
    assert!(fs::symlink_metadata(&first).expect("it is there").is_symlink());
    assert_eq!(fs::metadata(&second).expect("it is there").permissions().mode() & 0o777, 0o640);
    assert!(!home.kubeconfig().exists(), "the variable names the files, not the home");
}
