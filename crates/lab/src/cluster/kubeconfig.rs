//! The user's kubeconfig: a lab's entries go in and out, and every other byte stays.
//!
//! ```text
//! check ─→ merge ─→ guard (lock) → read → entries (with, without) → write
//!          remove ─┘               note: the lab's id    mark: the id in each entry
//! ```
//!
//! Each entry carries a mark with the random id of its lab, and the lab's folder has the id. An entry without that mark is
//! never replaced and never removed, whatever its name is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use meshy_base::Report;
use meshy_base::error::{self, Advise, Exit};

mod block;
mod edit;
mod entries;
mod flow;
mod guard;
mod mark;
mod note;
pub(crate) mod read;
mod write;

pub use entries::{Entries, With, Without, with, without};
pub(crate) use mark::lab_in;
pub(crate) use note::Note;

/// What [`merge`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The file that holds the entries now.
    pub file: PathBuf,
    /// The current context now.
    pub current: String,
    /// The current context before, if it was another one.
    pub previous: Option<String>,
    /// The file was changed.
    pub changed: bool,
}

/// What [`remove`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The contexts that were removed.
    pub contexts: Vec<String>,
    /// What was kept and why.
    pub kept: Vec<String>,
    /// Each changed current context: the file, the context before, and the one now.
    pub switched: Vec<(PathBuf, String, Option<String>)>,
}

impl Merged {
    /// Reports a changed current context.
    pub fn report(&self, report: &Report) {
        if let Some(previous) = &self.previous {
            report.say(switch(&self.file, previous, Some(&self.current)));
        }
    }
}

impl Removed {
    /// Reports a changed current context, and entries that were kept.
    pub fn report(&self, report: &Report) {
        for (file, before, now) in &self.switched {
            report.say(switch(file, before, now.as_deref()));
        }
        for line in &self.kept {
            report.say(line);
        }
    }

    /// What was removed, one line each.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.contexts.iter().map(|context| format!("kubeconfig context `{context}`"))
    }
}

fn switch(file: &Path, before: &str, now: Option<&str>) -> String {
    let now = now.map_or_else(|| "none".to_owned(), |now| format!("`{now}`"));
    format!("current context of {}: `{before}` → {now}", file.display())
}

/// Returns the kubeconfigs that are read: the given one, or the list in `KUBECONFIG`, or `~/.kube/config`. They need not
/// exist.
///
/// # Errors
/// The current folder or the home folder is unknown.
pub(crate) fn files(given: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = |path: &Path| std::path::absolute(path).context("cannot find the current folder");
    if let Some(given) = given {
        return Ok(vec![absolute(given)?]);
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let listed = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty());
    let mut files = Vec::new();
    for path in listed {
        let path = absolute(&path)?;
        if !files.contains(&path) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let home = std::env::home_dir().context("cannot find the home folder")?;
        files.push(home.join(".kube").join("config"));
    }
    Ok(files)
}

/// Returns the kubeconfig that changes go to, as kubectl and kind choose it: of those that are read, the first that exists,
/// else the last.
///
/// # Errors
/// Those of [`files`].
fn file(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let mut files = files(given)?;
    let first = files.iter().position(|path| path.exists());
    Ok(files.swap_remove(first.unwrap_or(files.len() - 1)))
}

/// Returns the kubeconfig of a lab: the given one, or the one that holds its entries, or the one that new entries go to.
///
/// # Errors
/// The lab's note cannot be read; the current folder or the home folder is unknown.
pub(crate) fn of_lab(given: Option<&Path>, lab: &Path) -> anyhow::Result<PathBuf> {
    let noted = if given.is_none() { Note::load(lab)? } else { None };
    match noted.filter(|note| note.file.exists()) {
        Some(note) => Ok(note.file),
        None => file(given),
    }
}

/// Checks before the first side effect that the entries of a lab can be put into its kubeconfig and removed again.
///
/// # Errors
/// The file cannot be read, understood or changed without losing a byte; it, or another file in `KUBECONFIG`, has an entry of
/// that name which the lab did not create.
pub(crate) fn check(given: Option<&Path>, lab: &Path, context: &str) -> anyhow::Result<()> {
    if let Some(given) = given
        && given.to_str().is_none()
    {
        return Err(anyhow!("the path {} is not UTF-8", given.display())).exit(Exit::Usage);
    }
    let file = of_lab(given, lab)?;
    let id = Note::load(lab)?.map(|note| note.id).unwrap_or_default();
    check_others(given, &file, context, &id)?;
    let place = resolve(&file)?;
    let text = read::changeable(&place).exit(Exit::Usage)?.unwrap_or_default();
    change(&file, with(&text, &Entries::example(context), &id, None))?;
    let folder = place.ancestors().skip(1).find(|folder| folder.exists());
    let folder = folder.context("the root folder does not exist")?;
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)
        .with_context(|| format!("cannot write to folder {}", folder.display()))
        .exit(Exit::Prerequisite)
}

/// Checks that no other file of the list has an entry of that name: it would be hidden.
fn check_others(given: Option<&Path>, file: &Path, context: &str, id: &str) -> anyhow::Result<()> {
    for other in files(given)?.into_iter().filter(|other| other != file) {
        // A file that kubectl cannot read either hides nothing.
        let Some(edit) = read::text(&other).ok().flatten().and_then(|text| edit::Edit::of(&text).ok()) else {
            continue;
        };
        entries::check_foreign(&edit, context, id).with_context(|| {
            format!("cannot add context `{context}` to {}: {} has it", file.display(), other.display())
        })?;
    }
    Ok(())
}

/// Adds to the result of an edit which file it was for, and how to go on.
fn change<T>(file: &Path, edited: anyhow::Result<T>) -> anyhow::Result<T> {
    let edited = edited.with_context(|| format!("cannot change {}", file.display()));
    if edited.as_ref().is_err_and(|error| error::exit_of(error) != Exit::Failed) {
        return edited;
    }
    edited.hint("`--kubeconfig FILE` uses another kubeconfig").id("kubeconfig-style").exit(Exit::Usage)
}

/// Puts a lab's entries into its kubeconfig, and makes their context the current one.
///
/// # Errors
/// Those of `check`; the file cannot be locked or written.
pub async fn merge(given: Option<&Path>, lab: &Path, entries: &Entries) -> anyhow::Result<Merged> {
    let file = of_lab(given, lab)?;
    let known = Note::load(lab)?.map(|note| note.id).unwrap_or_default();
    check_others(given, &file, &entries.context, &known)?;
    let note = Note::ensure(lab, &file)?;
    let place = resolve(&file)?;
    let missing = place.ancestors().skip(1).take_while(|folder| !folder.exists()).count();
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create folder {}", folder.display()))?;
    }
    let _guard = guard::lock(&place, lab, &note.id).await?;
    let old = read::changeable(&place)?;
    let created = old.is_none().then_some(missing);
    let old = old.unwrap_or_default();
    let new = change(&file, with(&old, entries, &note.id, created))?;
    let changed = new.text != old;
    if changed {
        write::replace(&place, &new.text)?;
    }
    Ok(Merged { file, current: entries.context.clone(), previous: new.previous, changed })
}

/// Removes a lab's entries from its kubeconfig, and makes the former current context the current one again. `context` is the
/// name that the lab's context had; an entry of that name that the lab did not create is kept.
///
/// # Errors
/// The file cannot be read, understood, locked or written.
pub async fn remove(given: Option<&Path>, lab: &Path, context: &str) -> anyhow::Result<Removed> {
    let mut removed = Removed::default();
    let note = Note::load(lab)?;
    let mut all = files(given)?;
    if let Some(note) = &note {
        all.retain(|file| *file != note.file);
        all.insert(0, note.file.clone());
    }
    for (index, file) in all.iter().enumerate() {
        let text = match read::text(file) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) if index == 0 && note.is_some() => return Err(error),
            // The lab put nothing into it.
            Err(_) => continue,
        };
        // In the file that the note names, a killed run may also have left its lock.
        let open = |note: &&Note| text.contains(&note.id) || (index == 0 && is_in_a_folder(file));
        if let Some(note) = note.as_ref().filter(open) {
            take_out(file, lab, &note.id, &mut removed).await?;
        }
        let kept = read::text(file).ok().flatten().and_then(|text| edit::Edit::of(&text).ok());
        if kept.is_some_and(|edit| edit.has_context(context)) {
            let file = file.display();
            removed.kept.push(format!("kept context `{context}` of {file}: this lab did not create it"));
        }
    }
    Note::remove(lab)?;
    Ok(removed)
}

/// The entries of a lab that a version without marks created.
pub struct Unmarked<'a> {
    /// Their name.
    pub context: &'a str,
    /// The context that was current before the lab was created.
    pub previous: Option<&'a str>,
    /// The certificate authority of the lab's cluster, in base64.
    pub authority: Option<String>,
}

/// Removes the entries of a lab that a version without marks created: `context` and what has its name, unless it is marked. The
/// cluster entry must have the certificate authority of the lab; otherwise the user replaced it, and all entries are kept.
///
/// # Errors
/// Those of [`remove`].
pub(crate) async fn remove_unmarked(
    given: Option<&Path>,
    lab: &Path,
    entries: &Unmarked<'_>,
) -> anyhow::Result<Removed> {
    let Unmarked { context, previous, authority } = entries;
    let file = file(given)?;
    let place = resolve(&file)?;
    if !place.exists() {
        return Ok(Removed::default());
    }
    let _guard = guard::lock(&place, lab, context).await?;
    let text = read::changeable(&place)?.unwrap_or_default();
    if !entries::has_authority(&text, context, authority.as_deref())? {
        let kept = format!(
            "kept context `{context}` in {}: its cluster has another certificate authority than the lab",
            file.display()
        );
        return Ok(Removed { kept: vec![kept], ..Removed::default() });
    }
    let out = change(&file, entries::without_unmarked(&text, context, *previous))?;
    if out.text != text {
        write::replace(&place, &out.text)?;
    }
    let switched = out.switched.map(|(before, now)| (file, before, now));
    Ok(Removed { contexts: out.removed, kept: Vec::new(), switched: switched.into_iter().collect() })
}

async fn take_out(file: &Path, lab: &Path, id: &str, removed: &mut Removed) -> anyhow::Result<()> {
    let place = resolve(file)?;
    let guard = guard::lock(&place, lab, id).await?;
    let text = read::changeable(&place)?.unwrap_or_default();
    if !text.contains(id) {
        return Ok(());
    }
    let out = change(file, without(&text, id))?;
    if let Some(created) = out.created {
        fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        drop(guard);
        // A folder that holds something else meanwhile stays.
        for folder in place.ancestors().skip(1).take(created.folders) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    } else if out.text != text {
        write::replace(&place, &out.text)?;
    }
    removed.contexts.extend(out.removed);
    removed.switched.extend(out.switched.map(|(before, now)| (file.to_owned(), before, now)));
    Ok(())
}

/// Returns whether the lab's kubeconfig holds the context that the lab created.
pub fn has(given: Option<&Path>, lab: &Path, context: &str) -> bool {
    let found = || {
        let note = Note::load(lab).ok()??;
        let text = read::text(&of_lab(given, lab).ok()?).ok()??;
        let edit = edit::Edit::of(&text).ok()?;
        let mut all = edit.entries("contexts").iter();
        all.find(|one| one["name"] == context && mark::lab(one) == Some(&note.id)).map(drop)
    };
    found().is_some()
}

fn is_in_a_folder(file: &Path) -> bool {
    resolve(file).is_ok_and(|place| place.parent().is_some_and(Path::is_dir))
}

/// Follows links, as the link stays and its target is replaced. The target need not exist.
fn resolve(file: &Path) -> anyhow::Result<PathBuf> {
    let mut path = file.to_owned();
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    Err(anyhow!("cannot change {}: too many links", file.display()))
}

#[cfg(test)]
mod tests;
