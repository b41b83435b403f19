//! A lab's entries in the text of a kubeconfig: in and out, byte for byte.

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::edit::Edit;
use super::mark::{self, Created, Previous, Restore, SECTIONS};
use meshy_base::error::{Advise, Exit};

/// What a kubeconfig without any key starts with.
const HEADER: [(&str, &str); 2] = [("apiVersion", "v1"), ("kind", "Config")];

/// How many former current contexts are kept.
const PREVIOUS: usize = 8;

/// The entries of one cluster: a context, a cluster and a user of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries {
    pub(super) context: String,
    cluster: Value,
    user: Value,
}

/// A kubeconfig's text with a lab's entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct With {
    /// The text.
    pub text: String,
    /// The current context before, if it was another one.
    pub previous: Option<String>,
}

/// A kubeconfig's text without a lab's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// The text.
    pub text: String,
    /// The contexts that were removed.
    pub removed: Vec<String>,
    /// The current context before and now, if it was one of those.
    pub switched: Option<(String, Option<String>)>,
    /// Set if nothing is left of a file that a lab created.
    pub(super) created: Option<Created>,
}

impl Entries {
    /// Returns the first cluster and user of a kubeconfig, both named after `context`, as kind does.
    ///
    /// # Errors
    /// The text is not a kubeconfig with a cluster and a user.
    pub fn of(text: &str, context: &str) -> anyhow::Result<Self> {
        let config: Value = serde_yaml::from_str(text).context("cannot read the new cluster's kubeconfig")?;
        let cluster = config["clusters"][0]["cluster"].clone();
        let user = config["users"][0]["user"].clone();
        anyhow::ensure!(
            cluster.is_object() && user.is_object(),
            "the new cluster's kubeconfig has no cluster or no user"
        );
        Ok(Self { context: context.to_owned(), cluster, user })
    }

    /// Returns entries of the usual size, to find out whether a kubeconfig can be changed.
    pub(super) fn example(context: &str) -> Self {
        let data = "MA==";
        let cluster = json!({"server": "https://127.0.0.1:1", "certificate-authority-data": data});
        let user = json!({"client-certificate-data": data, "client-key-data": data, "token": "0"});
        Self { context: context.to_owned(), cluster, user }
    }

    /// The content of the entries by section. What a user added to the entries of lab `id` stays, for example a namespace.
    fn contents(&self, edit: &Edit, id: &str) -> [Value; 3] {
        let name = &self.context;
        let context = json!({"cluster": name, "user": name});
        let ours = [&self.cluster, &context, &self.user];
        std::array::from_fn(|index| {
            let (section, key) = SECTIONS[index];
            let there = edit.entries(section).iter().find(|entry| mark::lab(entry) == Some(id));
            let mut content = there.map_or_else(|| json!({}), |entry| entry[key].clone());
            for (key, value) in ours[index].as_object().into_iter().flatten() {
                content[key] = value.clone();
            }
            content
        })
    }
}

/// Returns a kubeconfig's text with the entries of lab `id`, their context being the current one. `created` is set if there
/// was no such file.
///
/// # Errors
/// The text is not a kubeconfig; it has an entry of that name which lab `id` did not create; its style does not allow to
/// remove the entries later without changing another byte.
pub fn with(text: &str, entries: &Entries, id: &str, created: Option<usize>) -> anyhow::Result<With> {
    let created = created.map(|folders| Created { folders });
    behind_byte_order_mark(text, |text| {
        let before = Edit::of(text)?;
        check_foreign(&before, &entries.context, id)?;
        let previous = before.current_context().filter(|name| **name != entries.context);
        let previous = previous.map(str::to_owned);
        let contents = entries.contents(&before, id);
        let former = mark_of(&before, id);
        // Entries from an earlier run are replaced, so that the file is restored from what it was before them.
        let clean = remove(before.clone(), id)?;
        let original = clean.edit.text().to_owned();
        let mut edit = clean.edit;
        put(&mut edit, entries, contents, id, former, created)?;
        let edit = edit.checked()?;
        let current = before.current_context() == Some(&entries.context);
        if current && same_entries(&before, &edit, id) {
            return Ok(With { text: text.to_owned(), previous });
        }
        let text = edit.text().to_owned();
        if remove(edit, id)?.edit.text() != original {
            return Err(anyhow!(
                "its style does not allow to remove the lab's entries later without a trace"
            ));
        }
        Ok(With { text, previous })
    })
    .map(|(bom, with)| With { text: bom.to_owned() + &with.text, ..with })
}

/// Returns a kubeconfig's text without the entries of lab `id`. If one of them was the current context, the former one is
/// current again.
///
/// # Errors
/// The text is not a kubeconfig, or its style does not allow to remove a single entry.
pub fn without(text: &str, id: &str) -> anyhow::Result<Without> {
    let (bom, out) = behind_byte_order_mark(text, |text| remove(Edit::of(text)?, id))?;
    let created = out.created.filter(|_| out.edit.text().trim().is_empty());
    let text = bom.to_owned() + out.edit.text();
    Ok(Without { text, removed: out.removed, switched: out.switched, created })
}

/// Whether the unmarked cluster entry named `context` has this certificate authority; also where nothing has that name.
///
/// # Errors
/// The text is not a kubeconfig.
pub(super) fn has_authority(text: &str, context: &str, authority: Option<&str>) -> anyhow::Result<bool> {
    let edit = Edit::of(text.trim_start_matches('\u{feff}'))?;
    let is_unmarked = |entry: &&Value| entry["name"] == context && mark::lab(entry).is_none();
    match edit.entries("clusters").iter().find(is_unmarked) {
        Some(cluster) => {
            let found = cluster["cluster"]["certificate-authority-data"].as_str();
            Ok(found.is_some() && found == authority)
        }
        None => {
            Ok(SECTIONS.iter().all(|(section, _)| !edit.entries(section).iter().any(|e| is_unmarked(&e))))
        }
    }
}

/// Returns a kubeconfig's text without the unmarked entries named `context`, which a version without marks created for a lab.
/// If it was the current context, `previous` is current again.
///
/// # Errors
/// The text is not a kubeconfig, or its style does not allow to remove a single entry.
pub(super) fn without_unmarked(text: &str, context: &str, previous: Option<&str>) -> anyhow::Result<Without> {
    let (bom, out) =
        behind_byte_order_mark(text, |text| remove_unmarked(Edit::of(text)?, context, previous))?;
    let text = bom.to_owned() + out.edit.text();
    Ok(Without { text, removed: out.removed, switched: out.switched, created: None })
}

fn remove_unmarked(mut edit: Edit, context: &str, previous: Option<&str>) -> anyhow::Result<Clean> {
    let mut removed = Vec::new();
    for (section, _) in SECTIONS {
        let is_unmarked = |entry: &Value| entry["name"] == context && mark::lab(entry).is_none();
        while let Some(index) = edit.entries(section).iter().position(is_unmarked) {
            edit.take(section, index, Some("[]"))?;
            if section == "contexts" {
                removed.push(context.to_owned());
            }
        }
    }
    let mut switched = None;
    if !removed.is_empty() && edit.current_context() == Some(context) {
        let back = previous.filter(|previous| edit.has_context(previous)).unwrap_or_default();
        let plain = serde_yaml::to_string(&json!(back)).context("cannot write YAML")?;
        edit.set("current-context", plain.trim())?;
        switched = Some((context.to_owned(), Some(back.to_owned()).filter(|back| !back.is_empty())));
    }
    Ok(Clean { edit: edit.checked()?, removed, switched, created: None })
}

/// Reports an entry named `context` that lab `id` did not create.
///
/// # Errors
/// There is one.
pub(super) fn check_foreign(edit: &Edit, context: &str, id: &str) -> anyhow::Result<()> {
    for (section, key) in SECTIONS {
        let named = edit.entries(section).iter().filter(|entry| entry["name"] == context);
        if named.into_iter().any(|entry| mark::lab(entry) != Some(id)) {
            return Err(anyhow!("{key} `{context}` exists and was not created by this lab"))
                .hint("`--name NAME` creates a lab of another name, `--kubeconfig FILE` uses another file")
                .id("kubeconfig-foreign")
                .exit(Exit::Prerequisite);
        }
    }
    Ok(())
}

/// Runs an edit on a text without its byte order mark, which YAML allows only at the start.
fn behind_byte_order_mark<T>(
    text: &str,
    edit: impl FnOnce(&str) -> anyhow::Result<T>,
) -> anyhow::Result<(&'static str, T)> {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(("\u{feff}", edit(rest)?)),
        None => Ok(("", edit(text)?)),
    }
}

fn mark_of(edit: &Edit, id: &str) -> Restore {
    let ours = edit.entries("contexts").iter().find(|context| mark::lab(context) == Some(id));
    ours.map(mark::restore).unwrap_or_default()
}

fn same_entries(before: &Edit, after: &Edit, id: &str) -> bool {
    SECTIONS.iter().all(|(section, key)| {
        let ours = |edit: &Edit| {
            let mut all = edit.entries(section).iter().filter(|entry| mark::lab(entry) == Some(id));
            let first = all.next().map(|entry| {
                let mut entry = entry.clone();
                mark::add(&mut entry[*key], id, None);
                entry
            });
            (first, all.count())
        };
        ours(before) == ours(after)
    })
}

/// Adds entries to a kubeconfig that has none of lab `id`.
fn put(
    edit: &mut Edit,
    entries: &Entries,
    contents: [Value; 3],
    id: &str,
    former: Restore,
    created: Option<Created>,
) -> anyhow::Result<()> {
    let others: Vec<Restore> = edit
        .entries("contexts")
        .iter()
        .filter(|context| mark::lab(context).is_some())
        .map(mark::restore)
        .collect();
    // What another lab has to restore passes to this one, in case the other lab is removed first.
    let inherited = |key: &str| others.iter().find_map(|other| other.keys.get(key).cloned());
    let mut restore = Restore {
        created: created.or_else(|| others.iter().find_map(|other| other.created)).or(former.created),
        ..Restore::default()
    };
    if edit.keys().next().is_none() {
        for (key, value) in HEADER {
            edit.set(key, value)?;
            restore.keys.insert(key.to_owned(), None);
        }
    }
    for (key, _) in HEADER {
        restore.keys.extend(inherited(key).map(|value| (key.to_owned(), value)));
    }
    for (section, _) in SECTIONS {
        let there = edit.entries(section);
        if there.is_empty() {
            restore.keys.insert(section.to_owned(), edit.value_text(section));
        } else if there.iter().all(|entry| mark::lab(entry).is_some()) {
            restore.keys.extend(inherited(section).map(|value| (section.to_owned(), value)));
        }
    }
    restore.current_context = previous(edit, former.current_context);
    let name = &entries.context;
    for ((section, key), mut content) in SECTIONS.into_iter().zip(contents) {
        mark::add(&mut content, id, (section == "contexts").then_some(&restore));
        let mut entry = json!({ "name": name });
        entry[key] = content;
        edit.push(section, &entry)?;
    }
    let plain = serde_yaml::to_string(&json!(name)).context("cannot write YAML")?;
    edit.set("current-context", plain.trim())
}

/// The values of `current-context` to go back to, best first.
fn previous(edit: &Edit, former: Vec<Previous>) -> Vec<Previous> {
    let current = edit.current_context();
    let now = Previous {
        text: edit.value_text("current-context"),
        existed: current.is_some_and(|name| edit.has_context(name)),
    };
    let mut contexts = edit.entries("contexts").iter();
    let current = contexts.find(|context| current.is_some_and(|name| context["name"] == name));
    let mut all = vec![now];
    all.extend(current.map(mark::restore).unwrap_or_default().current_context);
    all.extend(former);
    let mut kept: Vec<Previous> = Vec::new();
    for one in all {
        if kept.len() < PREVIOUS && kept.iter().all(|other| other.text != one.text) {
            kept.push(one);
        }
    }
    kept
}

/// A kubeconfig without the entries of a lab.
struct Clean {
    edit: Edit,
    removed: Vec<String>,
    switched: Option<(String, Option<String>)>,
    created: Option<Created>,
}

fn remove(mut edit: Edit, id: &str) -> anyhow::Result<Clean> {
    let restore = mark_of(&edit, id);
    let current = edit.current_context().map(str::to_owned);
    let mut clean =
        Clean { edit: edit.clone(), removed: Vec::new(), switched: None, created: restore.created };
    let mut changed = false;
    for (section, _) in SECTIONS {
        while let Some(index) = edit.entries(section).iter().position(|entry| mark::lab(entry) == Some(id)) {
            if section == "contexts" {
                let name = edit.entries(section)[index]["name"].as_str().unwrap_or_default();
                clean.removed.push(name.to_owned());
            }
            let emptied = restore.keys.get(section).cloned().unwrap_or_else(|| Some("[]".to_owned()));
            edit.take(section, index, emptied.as_deref())?;
            changed = true;
        }
    }
    if !changed {
        return Ok(clean);
    }
    if let Some(current) = current.filter(|name| clean.removed.contains(name)) {
        go_back(&mut edit, &restore.current_context)?;
        clean.switched = Some((current, edit.current_context().map(str::to_owned)));
    }
    let only_header = edit.keys().all(|key| HEADER.iter().any(|(header, _)| key == *header));
    if only_header && HEADER.iter().any(|(key, _)| restore.keys.contains_key(*key)) {
        for (key, _) in HEADER {
            edit.remove(key)?;
        }
    }
    clean.edit = edit.checked()?;
    Ok(clean)
}

/// Sets the current context to the best of its former values.
fn go_back(edit: &mut Edit, previous: &[Previous]) -> anyhow::Result<()> {
    for former in previous {
        let Some(text) = &former.text else { return edit.remove("current-context") };
        let mut after = edit.clone();
        if text.contains(['\r', '\n']) || after.set("current-context", text).is_err() {
            continue;
        }
        if !former.existed || after.current_context().is_some_and(|name| after.has_context(name)) {
            *edit = after;
            return Ok(());
        }
    }
    edit.set("current-context", "\"\"")
}
