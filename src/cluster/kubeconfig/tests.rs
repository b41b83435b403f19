use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const OURS: &str = "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {server: 'https://127.0.0.1:1'}\n  name: x\nusers:\n- name: x\n  user: {token: t}\n";

/// Comments, odd quoting, other indentation: bytes that a rewrite would lose.
const THEIRS: &str = "# mine\napiVersion: v1\nclusters:\n  - name: \"prod\"   # careful\n    cluster:\n      server: https://prod\ncontexts:\n  - name: prod\n    context: {cluster: prod, user: 'prod'}\ncurrent-context: prod\nkind: Config\npreferences: {}\n\nusers:\n  - name: prod\n    user:\n      token: secret\n";

fn entries() -> Entries {
    Entries::of(OURS, "kind-meshy").unwrap()
}

struct Home(tempfile::TempDir);

impl Home {
    fn with(text: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.file(), text).unwrap();
        home
    }
    fn file(&self) -> PathBuf {
        self.0.path().join("config")
    }
    fn lab(&self) -> PathBuf {
        self.0.path().join("lab")
    }
    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
    fn merge(&self) -> Merged {
        merge(Some(&self.file()), &self.lab(), &entries()).unwrap()
    }
    fn remove(&self, previous: Option<&str>) -> bool {
        remove(Some(&self.file()), &self.lab(), "kind-meshy", previous).unwrap()
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_went_in_comes_out_and_foreign_bytes_stay() {
    let home = Home::with(THEIRS);
    let merged = home.merge();
    assert_eq!(merged.previous.as_deref(), Some("prod"));
    let with = home.text();
    for line in THEIRS.lines().filter(|l| !l.starts_with("current-context")) {
        assert!(with.contains(line), "{line} is lost in\n{with}");
    }
    let value: Value = serde_yaml::from_str(&with).unwrap();
    assert_eq!(value["current-context"], "kind-meshy");
    assert_eq!(value["clusters"][1]["cluster"]["server"], "https://127.0.0.1:1");
    assert!(has(Some(&home.file()), "kind-meshy"));
    assert!(home.remove(Some("prod")));
    assert_eq!(home.text(), THEIRS);
    assert_eq!(files(home.0.path()), ["config", "lab"]);
}

#[test]
fn doing_it_twice_changes_nothing() {
    let home = Home::with(THEIRS);
    assert!(home.merge().changed);
    let once = home.text();
    let again = home.merge();
    assert_eq!((again.changed, again.previous), (false, None));
    assert_eq!(home.text(), once);
    home.remove(None);
    assert!(!home.remove(None));
}

#[test]
fn flow_style_json_and_empty_files_are_understood() {
    let styles = [
        "",
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: null\nusers: ~\n",
        r#"{"apiVersion":"v1","kind":"Config","clusters":[{"name":"a","cluster":{"server":"https://a"}}],"contexts":[],"users":[]}"#,
    ];
    for text in styles {
        let home = Home::with(text);
        home.merge();
        let value: Value = serde_yaml::from_str(&home.text()).unwrap();
        assert_eq!(value["current-context"], "kind-meshy", "{text}");
        assert_eq!(value["contexts"][0]["context"]["user"], "kind-meshy");
        home.remove(None);
        assert!(!has(Some(&home.file()), "kind-meshy"));
        if text.contains("https://a") {
            assert!(home.text().contains("https://a"));
        }
    }
}

#[test]
fn mode_and_link_are_kept() {
    let home = Home::with(THEIRS);
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o640)).unwrap();
    let link = home.0.path().join("link");
    std::os::unix::fs::symlink(home.file(), &link).unwrap();
    merge(Some(&link), &home.lab(), &entries()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(has(Some(&home.file()), "kind-meshy"));
}

#[test]
fn a_lock_that_a_crash_of_ours_left_is_removed_and_a_foreign_one_is_not() {
    let home = Home::with(THEIRS);
    let lock = home.0.path().join("config.lock");
    std::mem::forget(guard::lock(&home.file(), &home.lab()).unwrap());
    assert!(lock.exists());
    assert!(home.merge().changed);
    assert!(!lock.exists());

    fs::write(&lock, "").unwrap();
    let error =
        merge(Some(&home.file()), &home.lab(), &Entries { context: "y".into(), ..entries() }).unwrap_err();
    assert!(error.to_string().contains("holds"), "{error:#}");
    assert!(lock.exists());
}
