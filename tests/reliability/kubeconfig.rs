//! The user's kubeconfig: many writers, odd files, nothing foreign touched.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::{Home, signal};

/// A kubeconfig of a cluster that is not a lab's, with what a rewrite would lose.
pub(crate) const THEIRS: &str = "# by hand\napiVersion: v1\nkind: Config\nclusters:\n- name: prod   # careful\n  cluster: {server: 'https://192.0.2.1'}\n\
                      contexts:\n- name: prod\n  context: {cluster: prod, user: \"prod\"}\ncurrent-context: prod # on Fridays\n\
                      users:\n- name: prod\n  user: {token: t}\n";

/// Writes the user's kubeconfig.
pub(crate) fn write(home: &Home, text: &str) {
    fs::create_dir_all(home.path().join(".kube")).expect("a folder");
    fs::write(home.kubeconfig(), text).expect("a kubeconfig");
}

pub(crate) fn read(home: &Home) -> String {
    fs::read_to_string(home.kubeconfig()).expect("the kubeconfig")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command to its success; returns what it wrote to stderr.
pub(crate) fn good(mut command: Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    stderr(&output)
}

/// Runs a command that must fail within 5 s with an exit code and without a panic; returns what it wrote to stderr.
pub(crate) fn fails(mut command: Command, code: i32) -> String {
    let begin = Instant::now();
    let output = command.output().expect("the program starts");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{command:?} took {:?}", begin.elapsed());
    text
}

/// Every path below a folder with mode and content; links with their target.
pub(crate) fn everything(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("its state");
            let content = match () {
                () if metadata.is_symlink() => format!("{:?}", fs::read_link(&path)),
                () if metadata.is_dir() => String::new(),
                () => format!("{:?}", fs::read(&path).expect("its bytes")),
            };
            found.push(format!("{} {:o} {content}", path.display(), metadata.permissions().mode()));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

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

#[test]
fn a_foreign_entry_is_refused_before_the_first_side_effect_and_survives_down() {
    let home = Home::new();
    let foreign = THEIRS.replace("users:\n", "users:\n- name: embedded-meshy\n  user: {token: PRECIOUS}\n");
    write(&home, &foreign);
    let before = everything(home.path());
    let text = fails(home.command("up --provider embedded"), 3);
    assert!(text.contains(&format!("cannot change {}", home.kubeconfig().display())), "{text}");
    assert!(text.contains("user `embedded-meshy` exists and was not created by this lab"), "{text}");
    assert!(text.contains("hint: `--name NAME`"), "{text}");
    assert_eq!(everything(home.path()), before);
    assert_eq!(home.processes(), Vec::<u32>::new());
    home.good("down --yes");
    assert_eq!(read(&home), foreign);
    home.good("up --provider embedded --name other");
    home.good("down --yes --name other");
    assert_eq!(read(&home), foreign);
}

#[test]
fn an_entry_that_a_user_put_in_place_of_the_labs_is_neither_used_nor_removed() {
    let home = Home::new();
    write(&home, THEIRS);
    home.good("up --provider embedded");
    let foreign = THEIRS.replace("prod", "embedded-meshy");
    write(&home, &foreign);
    let text = fails(home.command("stat"), 3);
    assert!(text.contains("is not the one that lab `meshy` created"), "{text}");
    let text = good(home.command("down --yes"));
    assert!(text.contains("kept context `embedded-meshy`"), "{text}");
    assert_eq!(read(&home), foreign);
}

#[test]
fn the_home_is_byte_identical_after_up_and_down() {
    let crlf = THEIRS.replace('\n', "\r\n");
    let without_current = THEIRS.replace("current-context: prod # on Fridays\n", "");
    let json = r#"{"kind": "Config", "clusters": [], "contexts": null, "current-context": "x"}"#;
    let texts = [
        None,
        Some(""),
        Some(THEIRS),
        Some(&crlf),
        Some(THEIRS.trim_end()),
        Some(&without_current),
        Some(json),
    ];
    for text in texts {
        let home = Home::new();
        if let Some(text) = text {
            write(&home, text);
        }
        fs::create_dir_all(home.path().join(".local/state")).expect("a folder");
        let before = everything(home.path());
        home.good("up --provider embedded");
        assert!(read(&home).contains("embedded-meshy"));
        let planned = home.run("down --dry-run");
        let said = String::from_utf8_lossy(&planned.stderr);
        assert!(said.contains("would remove context `embedded-meshy` of the kubeconfig"), "{said}");
        home.good("down --yes");
        assert_eq!(everything(home.path()), before, "{text:?}");
    }
}

#[test]
fn a_refused_style_is_left_alone_before_the_first_side_effect() {
    for text in [
        "  kind: Config\n  users: []\n",
        "a: 1\n---\nb: 1\n",
        "users: [ # mine\n]\n...\n",
        "users: {}\n",
        "\u{0}",
    ] {
        let home = Home::new();
        write(&home, text);
        let before = everything(home.path());
        let said = fails(home.command("up --provider embedded"), 2);
        assert!(said.contains("meshy explain kubeconfig-style"), "{said}");
        assert_eq!(everything(home.path()), before);
        assert_eq!(home.processes(), Vec::<u32>::new());
    }
}

#[test]
fn changes_of_the_current_context_are_reported() {
    let home = Home::new();
    write(&home, THEIRS);
    let file = home.kubeconfig().display().to_string();
    let text = good(home.command("up --provider embedded --name one"));
    assert!(text.contains(&format!("current context of {file}: `prod` → `embedded-one`\n")), "{text}");
    let text = good(home.command("up --provider embedded --name two"));
    assert!(
        text.contains(&format!("current context of {file}: `embedded-one` → `embedded-two`\n")),
        "{text}"
    );
    let text = good(home.command("down --yes --name two"));
    assert!(
        text.contains(&format!("current context of {file}: `embedded-two` → `embedded-one`\n")),
        "{text}"
    );
    let text = good(home.command("down --yes --name one"));
    assert!(text.contains(&format!("current context of {file}: `embedded-one` → `prod`\n")), "{text}");
    assert_eq!(read(&home), THEIRS);
}

#[test]
fn a_missing_file_of_the_list_is_skipped_and_the_entries_stay_where_they_were_put() {
    let home = Home::new();
    let (missing, second) = (home.path().join("missing"), home.path().join("second"));
    fs::write(&second, THEIRS).expect("a file");
    let list = format!("{}:{}", missing.display(), second.display());
    let with_list = |line: &str| {
        let mut command = home.command(line);
        command.env("KUBECONFIG", &list);
        command
    };
    good(with_list("up --provider embedded"));
    assert!(fs::read_to_string(&second).expect("the file").contains("embedded-meshy"));
    good(with_list("stat"));
    // A shell without the variable finds the lab as well.
    home.good("stat");
    home.good("down --yes");
    assert_eq!(fs::read_to_string(&second).expect("the file"), THEIRS);
    assert!(!missing.exists() && !home.kubeconfig().exists());
    // A foreign context in a later file would be hidden by the lab's.
    let third = home.path().join("third");
    fs::write(&third, THEIRS.replace("prod", "embedded-meshy")).expect("a file");
    let list = format!("{list}:{}", third.display());
    let text = fails(
        {
            let mut up = home.command("up --provider embedded");
            up.env("KUBECONFIG", &list);
            up
        },
        3,
    );
    assert!(text.contains(&format!("{} has it", third.display())), "{text}");
    assert_eq!(fs::read_to_string(&second).expect("the file"), THEIRS);
}

#[test]
fn a_home_that_is_not_utf8_works() {
    let home = Home::new();
    let odd = home.path().join(OsStr::from_bytes(b"h\xFFme"));
    fs::create_dir(&odd).expect("a folder");
    for line in ["up --provider embedded", "status", "stat", "down --yes"] {
        let mut command = home.command(line);
        command.env("HOME", &odd);
        good(command);
    }
    assert!(!odd.join(".kube").exists());
    let given = odd.join("config");
    let mut up = home.command("up --provider embedded --kubeconfig");
    up.arg(&given);
    assert!(fails(up, 2).contains("is not UTF-8"));
    assert_eq!(home.processes(), Vec::<u32>::new());
}

#[test]
fn an_up_killed_at_any_moment_leaves_only_entries_that_down_removes() {
    let home = Home::new();
    write(&home, THEIRS);
    let begin = Instant::now();
    home.good("up --provider embedded");
    let whole = begin.elapsed();
    home.good("down --yes");
    for moment in 1..=5 {
        let mut child = home.spawn("up --provider embedded");
        // The moment is the test's subject; nothing is waited for here.
        std::thread::sleep(whole.mul_f64(f64::from(moment) / 6.0));
        signal(child.id(), Signal::KILL);
        child.wait().expect("its end");
        home.good("down --yes");
        assert_eq!(read(&home), THEIRS, "killed at {moment}/6 of {whole:?}");
        let next_to: Vec<_> = fs::read_dir(home.path().join(".kube")).expect("a folder").flatten().collect();
        assert!(next_to.len() == 1, "{next_to:?}");
    }
}
