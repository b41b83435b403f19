//! The user's kubeconfig: a lab's entries go in and out, and every other byte stays.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::input;
use crate::private;

mod edit;
mod guard;

/// One cluster's entries, taken from a kubeconfig of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries {
    context: String,
    cluster: Value,
    user: Value,
}

/// What a merge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The file that holds the entries now.
    pub file: PathBuf,
    /// The current context before, if it was another one.
    pub previous: Option<String>,
    /// Something was written.
    pub changed: bool,
}

impl Entries {
    /// Takes the only cluster and user of a kubeconfig and names both after `context`, as kind does.
    ///
    /// # Errors
    /// The text is no kubeconfig with a cluster and a user.
    pub fn of(text: &str, context: &str) -> anyhow::Result<Self> {
        let config: Value = serde_yaml::from_str(text).context("cannot read the new cluster's kubeconfig")?;
        let cluster = config["clusters"][0]["cluster"].clone();
        let user = config["users"][0]["user"].clone();
        anyhow::ensure!(
            cluster.is_object() && user.is_object(),
            "the new cluster's kubeconfig lacks cluster or user"
        );
        Ok(Self { context: context.to_owned(), cluster, user })
    }

    /// A kubeconfig's text with the entries in it and their context the current one, and which one that was before, if it
    /// was another.
    ///
    /// # Errors
    /// The text is no kubeconfig.
    pub fn put(&self, text: &str) -> anyhow::Result<(String, Option<String>)> {
        let mut edit = edit::Edit::of(text)?;
        // An empty current context is none.
        let previous = edit.current_context().filter(|c| *c != self.context && !c.is_empty());
        for (section, entry) in self.sections() {
            edit.put(section, &entry)?;
        }
        edit.set_current_context(Some(&self.context))?;
        Ok((edit.text(), previous))
    }

    fn sections(&self) -> [(&'static str, Value); 3] {
        let name = &self.context;
        [
            ("clusters", json!({"cluster": self.cluster, "name": name})),
            ("contexts", json!({"context": {"cluster": name, "user": name}, "name": name})),
            ("users", json!({"name": name, "user": self.user})),
        ]
    }
}

/// The kubeconfig that changes go to: the given one, or as kind chooses from `KUBECONFIG` the first that exists, else the
/// last, else `~/.kube/config`.
pub fn file(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return std::path::absolute(given).context("cannot find the current folder");
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let listed: Vec<PathBuf> = std::env::split_paths(&listed).filter(|p| !p.as_os_str().is_empty()).collect();
    if let Some(file) = listed.iter().find(|p| p.exists()).or(listed.last()) {
        return std::path::absolute(file).context("cannot find the current folder");
    }
    Ok(std::env::home_dir().context("cannot find the home folder")?.join(".kube").join("config"))
}

/// Puts entries in, makes their context the current one, and says what it was.
///
/// # Errors
/// The file cannot be read, understood, locked or written.
pub fn merge(given: Option<&Path>, lab: &Path, entries: &Entries) -> anyhow::Result<Merged> {
    let file = file(given)?;
    let mut previous = None;
    let changed = change(&file, lab, |text| {
        let (text, current) = entries.put(text)?;
        previous = current;
        Ok(text)
    })?;
    Ok(Merged { file, previous, changed })
}

/// Takes a context's entries out and, where it is the current one, brings the previous one back. Says whether anything
/// was there.
///
/// # Errors
/// As [`merge`].
pub fn remove(
    given: Option<&Path>,
    lab: &Path,
    context: &str,
    previous: Option<&str>,
) -> anyhow::Result<bool> {
    let file = file(given)?;
    if !file.exists() {
        return Ok(false);
    }
    change(&file, lab, |text| without(text, context, previous))
}

/// A kubeconfig's text without a context's entries. Where it was the current one, the previous one is again, if it is
/// still there.
///
/// # Errors
/// The text is no kubeconfig.
pub fn without(text: &str, context: &str, previous: Option<&str>) -> anyhow::Result<String> {
    let mut edit = edit::Edit::of(text)?;
    for section in edit::SECTIONS {
        edit.take(section, context)?;
    }
    if edit.current_context().as_deref() == Some(context) {
        let previous = previous.filter(|p| edit.has_context(p));
        edit.set_current_context(previous)?;
    }
    Ok(edit.text())
}

/// Whether the file holds the context.
pub fn has(given: Option<&Path>, context: &str) -> bool {
    let text = file(given).ok().and_then(|file| input::regular_text(&file).ok());
    text.and_then(|text| edit::Edit::of(&text).ok()).is_some_and(|edit| edit.has_context(context))
}

/// Reads, changes and replaces a file under its lock. Says whether the text is another now.
fn change(file: &Path, lab: &Path, f: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<bool> {
    // The link stays, its target is replaced.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
    }
    let _guard = guard::lock(&file, lab)?;
    let old = match input::regular_text(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let new = f(&old).with_context(|| format!("cannot change {}", file.display()))?;
    if new == old {
        return Ok(false);
    }
    private::replace(&file, new.as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests;
