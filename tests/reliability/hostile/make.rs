//! What the cases are made of: names, lab folders and kubeconfigs.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rand::RngExt as _;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use super::Bench;

const FIRST: &str = include_str!("../../fixtures/lab-c3662c0.json");

impl Bench {
    pub(super) fn good_name(&mut self) -> String {
        let length = self.random.random_range(1..=40);
        let inner: String = (0..length).map(|_| self.pick(b"abcxyz0189-") as char).collect();
        // No two cases share a lab.
        format!("{}{inner}{}", self.pick(b"abc9") as char, self.count)
    }

    /// None of them leads out of the home, also in a version that would follow it.
    pub(super) fn bad_name(&mut self) -> String {
        let home = self.home.path().display().to_string();
        let bad = [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "../runs".to_owned(),
            "victim/".to_owned(),
            "./victim".to_owned(),
            "x/../victim".to_owned(),
            "../labs/victim".to_owned(),
            "../../../../thesis".to_owned(),
            format!("{home}/thesis"),
            format!("{home}/.ssh"),
            "Not A Lab".to_owned(),
            "VICTIM".to_owned(),
            "-".to_owned(),
            "-victim".to_owned(),
            "victim-".to_owned(),
            "victim\n".to_owned(),
            "v\u{ed}ctim".to_owned(),
            "\u{1b}[2J".to_owned(),
            "a".repeat(54),
            "a".repeat(5000),
        ];
        let random: String =
            (0..8).map(|_| self.pick(&['a', '.', '_', ' ', 'B', '\u{202e}', '%', '=', ':'])).collect();
        let at = self.random.random_range(0..=bad.len());
        bad.get(at).cloned().unwrap_or(format!("{random}~"))
    }

    /// Makes the lab's folder; says what it is, and who holds its cluster's lock.
    pub(super) fn lab(&mut self, name: &str) -> (&'static str, Option<Child>) {
        let folder = self.home.lab(name);
        let home = self.home.path().to_owned();
        let shape = self.pick(SHAPES);
        match shape {
            "no lab" => return (shape, None),
            "a link" => {
                symlink(home.join("thesis"), &folder).expect("a link");
                return (shape, None);
            }
            "a file" => {
                fs::write(&folder, "").expect("a file");
                return (shape, None);
            }
            _ => fs::create_dir(&folder).expect("a folder"),
        }
        let record = folder.join("lab.json");
        let own = record_of(name);
        fs::write(&record, own.to_string()).expect("a record");
        let change = |field: &str, value: Value| {
            let mut changed = own.clone();
            changed[field] = value;
            fs::write(&record, changed.to_string()).expect("a record");
        };
        let thesis = home.join("thesis/thesis.txt");
        let link = |target: &Path, path: &str| symlink(target, folder.join(path)).expect("a link");
        let replace = |make: &dyn Fn(&Path)| {
            fs::remove_file(&record).expect("it is there");
            make(&record);
        };
        match shape {
            "name of another" => change("name", json!("victim")),
            "name with dots" => change("name", json!("../../../../thesis")),
            "context of the user" => change("context", json!("mine")),
            "context of another lab" => change("context", json!("embedded-victim")),
            "previous context of another lab" => change("previous_context", json!("embedded-victim")),
            "relative kubeconfig" => change("kubeconfig", json!("thesis/thesis.txt")),
            "kubeconfig that is none" => change("kubeconfig", json!(thesis)),
            "kubeconfig that is a folder" => change("kubeconfig", json!(home.join("thesis"))),
            "kubeconfig that is a FIFO" => change("kubeconfig", json!(home.join("fifo"))),
            "kubeconfig elsewhere" => change("kubeconfig", json!(home.join("second"))),
            "provider kind" => change("provider", json!("kind")),
            "a cluster of the user" => {
                let record = json!({"name": name, "provider": "existing", "context": "mine", "made": true});
                fs::write(folder.join("lab.json"), record.to_string()).expect("a record");
            }
            "newer" => change("fleet", json!({})),
            "overlays elsewhere" => change("overlays", json!([home.join("thesis")])),
            "no record" => replace(&|_| {}),
            "cut off" => replace(&|file| fs::write(file, &own.to_string()[..60]).expect("a file")),
            "binary" => replace(&|file| fs::write(file, [0u8, 255, 1, 254]).expect("a file")),
            "deep" => replace(&|file| fs::write(file, "[".repeat(100_000)).expect("a file")),
            "huge" => replace(&|file| fs::write(file, " ".repeat(3 << 20)).expect("a file")),
            "record a FIFO" => replace(&|file| mkfifoat(CWD, file, Mode::RUSR | Mode::WUSR).expect("a FIFO")),
            "record a folder" => replace(&|file| fs::create_dir(file).expect("a folder")),
            "record a full folder" => {
                replace(&|file| fs::create_dir_all(file.join("thesis")).expect("a folder"));
            }
            "record a link" => replace(&|file| symlink("../victim/lab.json", file).expect("a link")),
            "record endless" => replace(&|file| symlink("/dev/zero", file).expect("a link")),
            "lock a link" => link(&thesis, "lock"),
            "lock a dangling link" => link(&home.join("made"), "lock"),
            "process's lock a link" => link(&thesis, "embedded.lock"),
            "log a link" => link(&thesis, "embedded.log"),
            "log a FIFO" => {
                mkfifoat(CWD, folder.join("embedded.log"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
            }
            "state a link" => link(&home.join("thesis"), "embedded"),
            "hosts a link" => link(&home.join("thesis"), "certs.d"),
            "foreign files" => {
                fs::create_dir_all(folder.join("embedded/embedded/keys.json")).expect("a folder");
                fs::write(folder.join("embedded/mine"), "").expect("a file");
                link(&home.join("thesis"), "mine");
            }
            "snapshot junk" | "keys junk" => {
                fs::create_dir(folder.join("embedded")).expect("a folder");
                let file = if shape == "snapshot junk" { "snapshot.json" } else { "keys.json" };
                fs::write(folder.join("embedded").join(file), "{\"format\":").expect("a file");
            }
            "number of another lab's process" => {
                fs::write(folder.join("embedded.lock"), self.victim.to_string()).expect("a file");
                link(&self.home.lab("victim").join("embedded.lock"), "mine");
            }
            "lock held by another program" => return (shape, Some(hold(&folder.join("embedded.lock")))),
            _ => {}
        }
        (shape, None)
    }

    /// Writes a kubeconfig; says which.
    pub(super) fn kubeconfig(&mut self, name: &str) -> &'static str {
        let file = self.home.kubeconfig();
        let own =
            format!("embedded-{}", if name.len() < 60 && !name.contains(['\n', '/']) { name } else { "x" });
        let kind = self.pick(&[
            "absent",
            "empty",
            "the user's",
            "with the lab's",
            "CRLF",
            "JSON",
            "junk",
            "a link",
            "with a comment",
        ]);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        let text = match kind {
            "absent" => return kind,
            "empty" => String::new(),
            "with the lab's" => kubeconfig("mine", "\n").replace("other", &own),
            "CRLF" => kubeconfig("mine", "\r\n"),
            "JSON" => {
                let value: Value = serde_yaml::from_str(&kubeconfig("mine", "\n")).expect("YAML");
                value.to_string()
            }
            "junk" => "\u{1}{ not: [ yaml".to_owned(),
            "with a comment" => kubeconfig("mine", " # mine\n"),
            _ => kubeconfig("mine", "\n"),
        };
        if kind == "a link" {
            symlink(self.home.path().join("target"), &file).expect("a link");
        }
        fs::write(&file, text).expect("a kubeconfig");
        fs::set_permissions(&file, fs::Permissions::from_mode(self.pick(&[0o600, 0o640, 0o400])))
            .expect("a mode");
        kind
    }
}

/// What the folder of a lab may look like; several times what most labs are.
const SHAPES: &[&str] = &[
    "no lab",
    "no lab",
    "no lab",
    "a lab",
    "a lab",
    "a lab",
    "a lab",
    "a link",
    "a file",
    "name of another",
    "name with dots",
    "context of the user",
    "context of another lab",
    "previous context of another lab",
    "relative kubeconfig",
    "kubeconfig that is none",
    "kubeconfig that is a folder",
    "kubeconfig that is a FIFO",
    "kubeconfig elsewhere",
    "provider kind",
    "a cluster of the user",
    "newer",
    "overlays elsewhere",
    "no record",
    "cut off",
    "binary",
    "deep",
    "huge",
    "record a FIFO",
    "record a folder",
    "record a full folder",
    "record a link",
    "record endless",
    "lock a link",
    "lock a dangling link",
    "process's lock a link",
    "log a link",
    "log a FIFO",
    "state a link",
    "hosts a link",
    "foreign files",
    "snapshot junk",
    "keys junk",
    "number of another lab's process",
    "lock held by another program",
];

fn record_of(name: &str) -> Value {
    let mut record: Value = serde_json::from_str(FIRST).expect("JSON");
    record["name"] = json!(name);
    record["context"] = json!(format!("embedded-{name}"));
    record["http_port"] = Value::Null;
    record["overlays"] = json!(["minimal-service"]);
    record
}

/// A kubeconfig with the context `current` and one called `other`; nothing answers there.
pub(super) fn kubeconfig(current: &str, line_end: &str) -> String {
    let lines = [
        "apiVersion: v1".to_owned(),
        "kind: Config".to_owned(),
        "clusters:".to_owned(),
        format!("- name: {current}"),
        "  cluster: {server: 'https://127.0.0.1:1'}".to_owned(),
        "- name: other".to_owned(),
        "  cluster: {server: 'https://127.0.0.1:2'}".to_owned(),
        "users:".to_owned(),
        format!("- name: {current}"),
        "  user: {token: PRECIOUS}".to_owned(),
        "contexts:".to_owned(),
        format!("- name: {current}"),
        format!("  context: {{cluster: {current}, user: {current}}}"),
        "- name: other".to_owned(),
        "  context: {cluster: other, user: other}".to_owned(),
        format!("current-context: {current}"),
    ];
    lines.map(|line| format!("{line}{line_end}")).concat()
}

/// A program that is not meshy holds the lock, with its number in it.
fn hold(file: &Path) -> Child {
    let lock = File::options().write(true).create(true).truncate(true).open(file).expect("a file");
    lock.lock().expect("no other process holds it");
    let child = Command::new("sleep").arg("600").stdin(Stdio::from(lock)).spawn().expect("sleep starts");
    fs::write(file, child.id().to_string()).expect("a number");
    child
}
