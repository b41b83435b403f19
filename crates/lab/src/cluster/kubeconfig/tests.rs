use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::*;

mod styles;

const OURS: &str = "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {server: 'https://127.0.0.1:1'}\n  name: x\nusers:\n- name: x\n  user: {token: t}\n";

/// Comments, odd quoting, other indentation: bytes that a rewrite would lose.
const THEIRS: &str = "# mine\napiVersion: v1\nclusters:\n  - name: \"prod\"   # careful\n    cluster:\n      server: https://prod\ncontexts:\n  - name: prod\n    context: {cluster: prod, user: 'prod'}\ncurrent-context: prod # on Fridays\nkind: Config\npreferences: {}\n\nusers:\n  - name: prod\n    user:\n      token: secret\n";

fn entries(context: &str) -> Entries {
    Entries::of(OURS, context).unwrap()
}

struct Home(tempfile::TempDir);

impl Home {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn with(text: &str) -> Self {
        let home = Self::empty();
        fs::write(home.file(), text).unwrap();
        home
    }
    fn file(&self) -> PathBuf {
        self.0.path().join("config")
    }
    fn lab(&self, name: &str) -> PathBuf {
        self.0.path().join("labs").join(name)
    }
    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
    async fn try_merge(&self, name: &str) -> anyhow::Result<Merged> {
        merge(Some(&self.file()), &self.lab(name), &entries(name)).await
    }
    async fn merge(&self, name: &str) -> Merged {
        self.try_merge(name).await.unwrap()
    }
    async fn remove(&self, name: &str) -> Removed {
        remove(Some(&self.file()), &self.lab(name), name).await.unwrap()
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn parsed(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[tokio::test]
async fn what_went_in_comes_out_and_foreign_bytes_stay() {
    let home = Home::with(THEIRS);
    let merged = home.merge("kind-a").await;
    assert_eq!(merged.previous.as_deref(), Some("prod"));
    let with = home.text();
    for line in THEIRS.lines().filter(|l| !l.starts_with("current-context")) {
        assert!(with.contains(line), "{line} is lost in\n{with}");
    }
    assert!(with.contains("current-context: kind-a # on Fridays\n"), "{with}");
    assert_eq!(parsed(&with)["clusters"][1]["cluster"]["server"], "https://127.0.0.1:1");
    assert!(has(Some(&home.file()), &home.lab("kind-a"), "kind-a"));
    let removed = home.remove("kind-a").await;
    assert_eq!(removed.contexts, ["kind-a"]);
    assert_eq!(removed.switched, [(home.file(), "kind-a".to_owned(), Some("prod".to_owned()))]);
    assert_eq!(home.text(), THEIRS);
    assert_eq!(files(home.0.path()), ["config", "labs"]);
    assert_eq!(files(&home.lab("kind-a")), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_merge_changes_nothing() {
    let home = Home::with(THEIRS);
    assert!(home.merge("kind-a").await.changed);
    let once = home.text();
    let again = home.merge("kind-a").await;
    assert_eq!((again.changed, again.previous), (false, None));
    assert_eq!(home.text(), once);
    assert_eq!(home.remove("kind-a").await.contexts, ["kind-a"]);
    assert_eq!(home.remove("kind-a").await, Removed::default());
}

#[tokio::test]
async fn a_foreign_entry_of_the_name_is_neither_replaced_nor_removed() {
    for (section, key) in mark::SECTIONS {
        let text = format!("{THEIRS}# end\n").replace(
            &format!("{section}:\n"),
            &format!("{section}:\n  - name: kind-a\n    {key}: {{cluster: c, user: u, server: 'https://precious'}}\n"),
        );
        let home = Home::with(&text);
        let error = home.try_merge("kind-a").await.unwrap_err();
        let expected = format!("{key} `kind-a` exists and was not created by this lab");
        assert!(format!("{error:#}").ends_with(&expected), "{error:#}");
        assert!(error::hints(&error)[0].contains("--name"), "{error:#}");
        assert_eq!(error::exit_of(&error), Exit::Prerequisite);
        assert_eq!(
            format!("{:#}", check(Some(&home.file()), &home.lab("kind-a"), "kind-a").unwrap_err()),
            format!("{error:#}")
        );
        assert_eq!(home.text(), text);
        assert!(!has(Some(&home.file()), &home.lab("kind-a"), "kind-a"));
        let removed = home.remove("kind-a").await;
        assert_eq!(removed.contexts, Vec::<String>::new());
        assert_eq!(removed.kept.len(), usize::from(section == "contexts"), "{:?}", removed.kept);
        assert_eq!(home.text(), text);
    }
}

#[tokio::test]
async fn an_entry_that_was_replaced_meanwhile_is_kept_by_remove() {
    let home = Home::with(THEIRS);
    home.merge("kind-a").await;
    // The user makes another cluster of the same name: what they write has no mark of the lab.
    let without_mark: Value = {
        let mut value = parsed(&home.text());
        value["users"][1]["user"] = serde_json::json!({"token": "PRECIOUS"});
        value
    };
    fs::write(home.file(), serde_yaml::to_string(&without_mark).unwrap()).unwrap();
    assert!(home.try_merge("kind-a").await.is_err());
    home.remove("kind-a").await;
    let left = parsed(&home.text());
    assert_eq!(left["users"][1]["user"]["token"], "PRECIOUS");
    assert_eq!(left["contexts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_address_replaces_only_what_the_lab_wrote() {
    let home = Home::with(THEIRS);
    home.merge("kind-a").await;
    let text = home.text().replace("      user: kind-a\n", "      user: kind-a\n      namespace: mine\n");
    fs::write(home.file(), &text).unwrap();
    assert!(text.contains("namespace: mine"), "{text}");
    let moved = OURS.replace(":1'", ":2'");
    let moved = Entries::of(&moved, "kind-a").unwrap();
    let merged = merge(Some(&home.file()), &home.lab("kind-a"), &moved).await.unwrap();
    assert!(merged.changed && merged.previous.is_none());
    let value = parsed(&home.text());
    assert_eq!(value["clusters"][1]["cluster"]["server"], "https://127.0.0.1:2");
    assert_eq!(value["contexts"][1]["context"]["namespace"], "mine");
    home.remove("kind-a").await;
    assert_eq!(home.text(), THEIRS);
}

#[tokio::test]
async fn a_run_that_was_killed_after_the_entries_were_written_is_completed() {
    let home = Home::with(THEIRS);
    home.merge("kind-a").await;
    // Only the note and the entries are there; nothing else that the run knew.
    assert_eq!(files(&home.lab("kind-a")), ["kubeconfig-entry"]);
    assert!(!home.merge("kind-a").await.changed);
    home.remove("kind-a").await;
    assert_eq!(home.text(), THEIRS);
    // Killed between the note and the entries.
    Note::ensure(&home.lab("kind-a"), &home.file()).unwrap();
    assert_eq!(home.remove("kind-a").await, Removed::default());
    assert_eq!(home.text(), THEIRS);
    Note::ensure(&home.lab("kind-a"), &home.file()).unwrap();
    assert!(home.merge("kind-a").await.changed);
}

#[tokio::test]
async fn remove_clears_what_a_run_left_that_was_killed_while_it_held_the_lock() {
    // Killed before the entries were written, and after they were removed: in both cases none are there.
    for written in [false, true] {
        let home = Home::with(THEIRS);
        let lab = home.lab("kind-a");
        if written {
            home.merge("kind-a").await;
        }
        let note = Note::ensure(&lab, &home.file()).unwrap();
        std::mem::forget(guard::lock(&home.file(), &lab, &note.id).await.unwrap());
        for suffix in [format!(".lock.meshy-{}", note.id), write::NEW.to_owned()] {
            fs::write(write::next_to(&home.file(), &suffix), "").unwrap();
        }
        fs::write(home.file(), THEIRS).unwrap();
        assert_eq!(home.remove("kind-a").await, Removed::default());
        assert_eq!(files(home.0.path()), ["config", "labs"]);
        assert_eq!(files(&lab), Vec::<String>::new());
        assert_eq!(home.text(), THEIRS);
    }
}

#[tokio::test]
async fn a_kubeconfig_that_became_invalid_is_an_error_only_while_it_holds_the_labs_entries() {
    let home = Home::with(THEIRS);
    home.merge("kind-a").await;
    let broken = home.text() + "{";
    fs::write(home.file(), &broken).unwrap();
    let error = remove(Some(&home.file()), &home.lab("kind-a"), "kind-a").await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot change {}", home.file().display()));
    assert_eq!(home.text(), broken);
    fs::write(home.file(), "{").unwrap();
    assert_eq!(home.remove("kind-a").await, Removed::default());
    assert_eq!(files(home.0.path()), ["config", "labs"]);
}

#[tokio::test]
async fn two_labs_leave_no_trace_in_whichever_order_they_go() {
    for text in
        ["", THEIRS, "clusters: []\ncontexts: ~ # none\nusers:\n", "current-context: ''\nkind: Config"]
    {
        for order in [["a", "b"], ["b", "a"]] {
            let home = Home::with(text);
            home.merge("a").await;
            assert_eq!(home.merge("b").await.previous.as_deref(), Some("a"));
            for name in order {
                home.remove(name).await;
            }
            assert_eq!(home.text(), text, "{order:?}");
        }
    }
}

#[tokio::test]
async fn a_file_and_folders_that_were_created_are_removed_again() {
    let home = Home::empty();
    let file = home.0.path().join("new/folder/config");
    for order in [["a", "b"], ["b", "a"]] {
        for name in ["a", "b"] {
            merge(Some(&file), &home.lab(name), &entries(name)).await.unwrap();
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for name in order {
            remove(Some(&file), &home.lab(name), name).await.unwrap();
        }
        assert_eq!(files(home.0.path()), ["labs"]);
    }
    // What another tool put there stays.
    merge(Some(&file), &home.lab("a"), &entries("a")).await.unwrap();
    fs::write(&file, fs::read_to_string(&file).unwrap() + "preferences: {}\n").unwrap();
    remove(Some(&file), &home.lab("a"), "a").await.unwrap();
    assert_eq!(parsed(&fs::read_to_string(&file).unwrap())["preferences"], serde_json::json!({}));
}

#[tokio::test]
async fn the_current_context_goes_back_to_one_that_is_still_there() {
    let home = Home::with(THEIRS);
    home.merge("a").await;
    home.merge("b").await;
    home.merge("c").await;
    home.remove("b").await;
    assert_eq!(parsed(&home.text())["current-context"], "c");
    let removed = home.remove("c").await;
    assert_eq!(removed.switched[0].2.as_deref(), Some("a"));
    // The user removes the context that was current at first.
    let text = home.text().replace("name: prod\n    context", "name: other\n    context");
    fs::write(home.file(), text).unwrap();
    let removed = home.remove("a").await;
    assert_eq!(removed.switched[0].2, None);
    assert_eq!(parsed(&home.text())["current-context"], "");
}

#[tokio::test]
async fn a_current_context_that_the_user_chose_stays() {
    let home = Home::with(THEIRS);
    home.merge("a").await;
    fs::write(home.file(), home.text().replace("current-context: a", "current-context: prod")).unwrap();
    assert_eq!(home.remove("a").await.switched, []);
    assert_eq!(home.text(), THEIRS);
}

#[tokio::test]
async fn mode_and_links_are_kept_and_the_target_of_a_link_is_created() {
    let home = Home::with(THEIRS);
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o640)).unwrap();
    for target in ["config", "absent"] {
        let link = home.0.path().join(format!("link-{target}"));
        std::os::unix::fs::symlink(target, &link).unwrap();
        merge(Some(&link), &home.lab(target), &entries(target)).await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(has(Some(&link), &home.lab(target), target));
        remove(Some(&link), &home.lab(target), target).await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(!home.0.path().join("absent").exists());
    assert_eq!(home.text(), THEIRS);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_a_crash_of_ours_left_is_removed_and_a_foreign_one_is_not() {
    let home = Home::with(THEIRS);
    let lock = home.0.path().join("config.lock");
    std::mem::forget(guard::lock(&home.file(), &home.lab("a"), "id").await.unwrap());
    fs::write(home.0.path().join("config.lock.meshy-id"), "left by a killed run").unwrap();
    assert!(lock.exists());
    drop(guard::lock(&home.file(), &home.lab("a"), "id").await.unwrap());
    assert_eq!(files(home.0.path()), ["config", "labs"]);

    fs::write(&lock, "").unwrap();
    let error = home.try_merge("a").await.unwrap_err();
    assert_eq!(error.to_string(), format!("another program holds {}", lock.display()));
    assert_eq!(files(home.0.path()), ["config", "config.lock", "labs"]);
    assert_eq!(home.text(), THEIRS);
}

#[test]
fn odd_files_are_refused_before_anything_is_written() {
    let home = Home::empty();
    let file = home.file();
    let lab = home.lab("a");
    for (text, cause) in [
        ("- a\n", "expected a kubeconfig, found another value"),
        ("clusters: {}\n", "invalid kubeconfig: `clusters` is not a list"),
        ("clusters: [\n", "the text is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "multiple YAML documents"),
    ] {
        fs::write(&file, text).unwrap();
        let error = check(Some(&file), &lab, "a").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot change {}", file.display()));
        assert!(format!("{error:#}").contains(cause), "{error:#}");
        assert_eq!(error::exit_of(&error), Exit::Usage, "{error:#}");
    }
    for odd in ["/dev/zero", "/dev/null", "/"] {
        let error = check(Some(Path::new(odd)), &lab, "a").unwrap_err();
        assert!(format!("{error:#}").contains(&format!("{odd}: expected a regular file")), "{error:#}");
    }
    assert_eq!(files(home.0.path()), ["config"]);
}
