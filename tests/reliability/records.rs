//! A lab's record and folder that a user changed: what is not the lab's stays, and `down` is the way out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::home::Home;
use crate::tree::{difference, tree};

/// A record as `up` of commit c3662c0 wrote it.
const FIRST: &str = include_str!("../fixtures/lab-c3662c0.json");

fn put(home: &Home, name: &str, record: &str) {
    fs::create_dir_all(home.lab(name)).expect("a folder");
    fs::write(home.lab(name).join("lab.json"), record).expect("a record");
}

fn changed(field: &str, value: Value) -> String {
    let mut record: Value = serde_json::from_str(FIRST).expect("JSON");
    record[field] = value;
    record.to_string()
}

/// What happens to a file.
type Damage = Box<dyn Fn(&Path)>;

fn damaged(bytes: impl AsRef<[u8]> + 'static) -> Damage {
    Box::new(move |file| fs::write(file, &bytes).expect("a file"))
}

#[test]
fn an_unreadable_record_names_the_command_that_removes_it_and_down_does_so() {
    let newer = changed("fleet", json!(1));
    let huge = format!("{FIRST}{}", " ".repeat(2 << 20));
    let forms: [(&str, Damage); 9] = [
        ("cut off", damaged(&FIRST[..100])),
        ("empty", damaged("")),
        ("binary", damaged([0, 159, 146, 150])),
        ("deep", damaged("[".repeat(200_000))),
        ("newer", damaged(newer)),
        ("huge", damaged(huge)),
        ("of another lab", damaged(changed("name", json!("victim")))),
        (
            "a FIFO",
            Box::new(|file| {
                fs::remove_file(file).expect("it is there");
                mkfifoat(CWD, file, Mode::RUSR | Mode::WUSR).expect("a FIFO");
            }),
        ),
        (
            "a folder",
            Box::new(|file| {
                fs::remove_file(file).expect("it is there");
                fs::create_dir(file).expect("a folder");
            }),
        ),
    ];
    let home = Home::new();
    fs::create_dir(home.path().join(".kube")).expect("a folder");
    fs::write(
        home.kubeconfig(),
        "apiVersion: v1\nkind: Config\ncontexts:\n- name: mine\n  context: {cluster: c, user: u}\n",
    )
    .expect("a file");
    for (what, spoil) in forms {
        home.good("up --provider embedded --overlay minimal-service");
        let record = home.lab("meshy").join("lab.json");
        spoil(&record);
        for line in ["status", "up", "start", "stop", "deploy", ""] {
            let output = home.run(line);
            let talk = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{what}: {line}: {talk}");
            assert!(talk.contains(&*record.to_string_lossy()), "{what}: {line}: {talk}");
            assert!(talk.contains("`meshy down --name meshy` removes"), "{what}: {line}: {talk}");
        }
        let output = home.run("down -o json");
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {talk}");
        let down: Value = serde_json::from_slice(&output.stdout).expect("one document");
        assert!(down["removed"].to_string().contains("context `embedded-meshy`"), "{what}: {down}");
        assert_eq!(home.processes(), Vec::<u32>::new(), "{what}: a process is left");
        assert!(!home.lab("meshy").exists(), "{what}: files are left");
        let kubeconfig = fs::read_to_string(home.kubeconfig()).expect("it is there");
        assert!(
            kubeconfig.contains("name: mine") && !kubeconfig.contains("embedded-meshy"),
            "{what}: {kubeconfig}"
        );
    }
}

#[test]
fn down_of_an_unreadable_record_leaves_a_context_that_is_not_shown_to_be_the_labs() {
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    let text = fs::read_to_string(home.kubeconfig()).expect("it is there");
    let id = fs::read_to_string(home.lab("meshy").join("kubeconfig-entry")).expect("it is there");
    let id = id.lines().next().expect("an id");
    let theirs = text.replace(id, "lab-00000000000000000000000000000000");
    fs::write(home.kubeconfig(), &theirs).expect("a file");
    fs::write(home.lab("meshy").join("lab.json"), "junk").expect("a file");
    let said = home.good("down");
    assert!(said.contains("unknown: kept context `embedded-meshy`"), "{said}");
    assert_eq!(fs::read_to_string(home.kubeconfig()).expect("it is there"), theirs);
    assert!(!home.lab("meshy").exists());
}

/// A lab of the first version, whose cluster has the certificate authority `lab`.
fn first_version(home: &Home) {
    put(home, "meshy", FIRST);
    let folder = home.lab("meshy");
    fs::create_dir(folder.join("embedded")).expect("a folder");
    for file in ["lock", "embedded.lock", "embedded.log", "embedded/snapshot.json", ".tmpAbC123"] {
        fs::write(folder.join(file), "").expect("a file");
    }
    fs::write(folder.join("embedded/keys.json"), r#"{"certificate": "lab"}"#).expect("a file");
    fs::create_dir(home.path().join(".kube")).expect("a folder");
}

/// A kubeconfig with a context of the user and an entry `embedded-meshy` whose certificate authority is this one, in base64.
fn kubeconfig_with(authority: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncontexts:\n- name: mine\n  context: {{cluster: c, user: u}}\n- name: embedded-meshy\n  \
         context: {{cluster: embedded-meshy, user: u}}\nclusters:\n- name: embedded-meshy\n  cluster: {{server: \
         'https://127.0.0.1:1', certificate-authority-data: {authority}}}\n"
    )
}

#[test]
fn a_record_of_the_first_version_is_removed_by_down() {
    let home = Home::new();
    first_version(&home);
    fs::write(home.kubeconfig(), kubeconfig_with("bGFi")).expect("a file");
    let text = home.good("down");
    assert!(text.contains("removed kubeconfig context `embedded-meshy`"), "{text}");
    assert!(!home.path().join(".local/state/meshy").exists(), "state is left");
    assert!(!fs::read_to_string(home.kubeconfig()).expect("it is there").contains("embedded-meshy"));
}

#[test]
fn an_entry_that_replaced_the_one_of_a_lab_of_the_first_version_is_kept() {
    let home = Home::new();
    first_version(&home);
    let kubeconfig = kubeconfig_with("bWluZQ==");
    fs::write(home.kubeconfig(), &kubeconfig).expect("a file");
    let output = home.run("down");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    assert!(talk.contains("kept context `embedded-meshy`"), "{talk}");
    assert_eq!(fs::read_to_string(home.kubeconfig()).expect("it is there"), kubeconfig);
}

#[test]
fn down_removes_only_what_meshy_made_and_follows_no_link() {
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    home.good("stop");
    let precious = home.path().join("precious");
    fs::create_dir(&precious).expect("a folder");
    for file in ["keys.json", "thesis.txt", "hosts.toml"] {
        fs::write(precious.join(file), "years").expect("a file");
    }
    let before = tree(&precious, None);
    let folder = home.lab("meshy");
    fs::write(folder.join("thesis.txt"), "years").expect("a file");
    fs::create_dir(folder.join("notes")).expect("a folder");
    fs::write(folder.join("embedded/mine"), "years").expect("a file");
    symlink(precious.join("thesis.txt"), folder.join("mine.log")).expect("a link");
    fs::remove_file(folder.join("embedded.log")).expect("it is there");
    symlink(precious.join("thesis.txt"), folder.join("embedded.log")).expect("a link");
    symlink(&precious, folder.join("certs.d")).expect("a link");
    let said = home.good("down -o json");
    let down: Value = serde_json::from_str(&said).expect("one document");
    let mut kept: Vec<_> =
        down["kept"].as_array().expect("a list").iter().filter_map(|k| k.as_str()).collect();
    kept.sort_unstable();
    let expected = ["certs.d", "embedded/mine", "mine.log", "notes", "thesis.txt"];
    assert_eq!(kept, expected.map(|file| folder.join(file).display().to_string()));
    assert_eq!(difference(&before, &tree(&precious, None)), Vec::<String>::new());
    assert!(!folder.join("lab.json").exists() && !folder.join("lock").exists());
    // What is left is not a lab, and a second `down` says the same.
    let again = home.good("down");
    assert_eq!(again.matches("kept, as meshy did not create it: ").count(), 5, "{again}");
}

#[test]
fn a_link_in_place_of_a_file_of_meshy_is_not_written_through() {
    let home = Home::new();
    let thesis = home.path().join("thesis.txt");
    for file in ["lock", "embedded.lock", "embedded.log", "embedded", "lab.json"] {
        home.good("up --provider embedded --overlay minimal-service");
        home.good("stop");
        fs::write(&thesis, "years").expect("a file");
        let (path, made) = (home.lab("meshy").join(file), home.path().join("made"));
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("it is there");
        for target in [&thesis, &made] {
            symlink(target, &path).expect("a link");
            for line in ["start", "up --provider embedded"] {
                let output = home.run(line);
                let talk = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{file}: {line}: {talk}");
                assert!(
                    talk.contains("symbolic link") && talk.contains("expected a"),
                    "{file}: {line}: {talk}"
                );
            }
            fs::remove_file(&path).expect("the link");
        }
        symlink(&thesis, &path).expect("a link");
        home.good("down");
        assert_eq!(fs::read_to_string(&thesis).expect("it is there"), "years", "{file}");
        assert!(!made.exists(), "{file}: a file was made through the link");
        // A folder of that name is meshy's, a link is not.
        if file == "embedded" {
            fs::remove_file(&path).expect("the link is kept");
        }
        home.good("down");
        assert!(!home.path().join(".local/state/meshy").exists(), "{file}");
    }
}

#[test]
fn a_lab_folder_that_is_a_link_is_not_followed_and_a_foreign_folder_is_not_a_lab() {
    let home = Home::new();
    let precious = home.path().join("precious");
    fs::create_dir(&precious).expect("a folder");
    fs::write(precious.join("lab.json"), changed("name", json!("x"))).expect("a file");
    put(&home, "Not A Lab", FIRST);
    symlink(&precious, home.lab("x")).expect("a link");
    let before = tree(home.path(), None);
    for line in ["down", "up --provider embedded", "start", "status"] {
        let output = home.run(&format!("{line} --name x"));
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {talk}");
        assert!(talk.contains("is a symbolic link, expected a folder"), "{line}: {talk}");
    }
    assert!(home.good("").contains("There is no lab yet"));
    assert_eq!(difference(&before, &tree(home.path(), None)), Vec::<String>::new());
    fs::remove_file(home.lab("x")).expect("the link");
}

#[test]
fn a_context_of_the_users_is_not_removed_by_a_record_that_names_it() {
    let home = Home::new();
    fs::create_dir(home.path().join(".kube")).expect("a folder");
    let kubeconfig = "apiVersion: v1\nkind: Config\ncontexts:\n- name: prod\n  context: {cluster: c, user: u}\ncurrent-context: prod\n";
    fs::write(home.kubeconfig(), kubeconfig).expect("a file");
    put(&home, "meshy", &changed("context", json!("prod")));
    home.good("down");
    assert_eq!(fs::read_to_string(home.kubeconfig()).expect("it is there"), kubeconfig);
    assert!(!home.lab("meshy").exists());
}

#[test]
fn a_snapshot_that_cannot_be_restored_names_the_command_that_removes_it() {
    let home = Home::new();
    for (what, spoil) in [
        ("junk", damaged("junk")),
        ("deep", damaged("[".repeat(200_000))),
        ("another format", damaged("{\"format\": 99}")),
        (
            "a FIFO",
            Box::new(|file| {
                fs::remove_file(file).expect("it is there");
                mkfifoat(CWD, file, Mode::RUSR).expect("a FIFO");
            }),
        ),
    ] {
        home.good("up --provider embedded --overlay minimal-service");
        home.good("stop");
        spoil(&home.lab("meshy").join("embedded/snapshot.json"));
        for line in ["start", "up"] {
            let output = home.run(line);
            let talk = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{what}: {talk}");
            assert!(talk.contains("snapshot.json") && !talk.contains("cause:   cause:"), "{what}: {talk}");
            assert!(talk.contains("hint: `meshy down --name meshy` removes the lab"), "{what}: {talk}");
        }
        home.good("down");
        assert!(!home.lab("meshy").exists(), "{what}");
    }
}
