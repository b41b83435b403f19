//! What a run must restore, on disk: a run that is killed leaves it, and a later command restores the cluster.
//!
//! One file for each cluster, `$XDG_STATE_HOME/meshy/restore/UID.jsonl`, named after the uid of its namespace `kube-system`.
//! A line is appended, and synced, before each change. The run holds a lock on the file, which the kernel releases
//! however the run ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::capture::Captured;
use crate::test_service::PodFault;
use meshy_base::bounded::{self, Links};
use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_base::private;
use meshy_lab::lab;

/// The version of the lines.
const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one: who writes.
    Begin { version: u32, command: String, process: u32 },
    /// An object before the first change.
    Object(Box<Captured>),
    /// The object with this number is about to be written.
    Writes { object: usize, wanted: Value },
    /// It is written.
    Stored { object: usize, state: Value },
    /// A pod before the first change of its fault.
    Fault(PodFault),
    /// A namespace that the run creates.
    Namespace(String),
}

/// What is to be restored.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) objects: Vec<Captured>,
    pub(super) faults: Vec<PodFault>,
    /// Namespaces to delete.
    pub(super) namespaces: Vec<String>,
}

impl Held {
    /// Whether there is nothing to restore.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.iter().all(|object| object.written.is_empty())
            && self.faults.is_empty()
            && self.namespaces.is_empty()
    }
}

/// The journal of one cluster, locked.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

/// The folder of all journals.
///
/// # Errors
/// No home folder is known.
fn folder() -> anyhow::Result<PathBuf> {
    Ok(lab::labs_folder()?.with_file_name("restore"))
}

/// The file for a cluster.
async fn path(client: &kube::Client, folder: &Path) -> anyhow::Result<PathBuf> {
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await;
    let system = system.context("cannot read the namespace `kube-system`, whose uid names the cluster")?;
    let uid = system.metadata.uid.unwrap_or_default();
    ensure!(
        !uid.is_empty() && uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "the namespace `kube-system` has the uid `{uid}`, which cannot name a file"
    );
    Ok(folder.join(format!("{uid}.jsonl")))
}

/// The largest journal in bytes: it holds the objects that a run has changed.
const LARGEST: u64 = 64 << 20;

impl Journal {
    /// Opens the journal of a cluster, which may hold what an earlier run left.
    ///
    /// # Errors
    /// Another run changes this cluster at present; the state folder cannot be written; the API server does not respond.
    pub(super) async fn open(client: &kube::Client) -> anyhow::Result<Self> {
        let folder = folder()?;
        let path = path(client, &folder).await?;
        private::ensure_folder(&folder)?;
        Self::lock(path)
    }

    /// As [`Journal::open`], where an earlier run left something.
    ///
    /// # Errors
    /// As there. Without any journal the cluster is not read.
    pub(super) async fn left(client: &kube::Client) -> anyhow::Result<Option<Self>> {
        let folder = folder()?;
        let any = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
        if !any {
            return Ok(None);
        }
        let path = path(client, &folder).await?;
        if path.exists() { Self::lock(path).map(Some) } else { Ok(None) }
    }

    pub(super) fn lock(path: PathBuf) -> anyhow::Result<Self> {
        loop {
            let open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
            let file = open.with_context(|| format!("cannot open {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(file)),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            // The run before may have removed it between the two calls.
            let held = file.metadata().ok().map(|held| held.ino());
            if fs::metadata(&path).ok().map(|there| there.ino()) == held {
                return Ok(Self { path, file });
            }
        }
    }

    /// Returns what is to be restored, and which command left it.
    ///
    /// # Errors
    /// The file cannot be read, or a line before the last cannot be understood.
    pub(super) fn read(&self) -> anyhow::Result<(Held, String)> {
        let text = bounded::read_text(&self.path, LARGEST, Links::Refused);
        let text = text.with_context(|| format!("cannot read {}", self.path.display()))?;
        let held = held(&text).with_context(|| format!("cannot understand {}", self.path.display()));
        held.hint(
            "an older or newer meshy may have written it; remove the file to leave the cluster as it is",
        )
    }

    /// Begins the journal of a run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn begin(&mut self, command: &str) -> anyhow::Result<()> {
        let cleared = self.file.set_len(0);
        cleared.with_context(|| format!("cannot write {}", self.path.display()))?;
        let process = std::process::id();
        self.write(&Line::Begin { version: VERSION, command: command.to_owned(), process })
    }

    /// Notes an object before its first change.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub(super) fn object(&mut self, captured: &Captured) -> anyhow::Result<()> {
        self.write(&Line::Object(Box::new(captured.clone())))
    }

    /// Notes a write that is about to happen.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub(super) fn writes(&mut self, object: usize, wanted: &Value) -> anyhow::Result<()> {
        self.write(&Line::Writes { object, wanted: wanted.clone() })
    }

    /// Notes what came of it.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub(super) fn stored(&mut self, object: usize, state: &Value) -> anyhow::Result<()> {
        self.write(&Line::Stored { object, state: state.clone() })
    }

    /// Notes the fault of a pod before its first change.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub(super) fn fault(&mut self, fault: &PodFault) -> anyhow::Result<()> {
        self.write(&Line::Fault(fault.clone()))
    }

    /// Notes a namespace that is about to be created.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub(super) fn namespace(&mut self, name: &str) -> anyhow::Result<()> {
        self.write(&Line::Namespace(name.to_owned()))
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let text = format!("{}\n", serde_json::to_string(line)?);
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Writes the former state of an object that was left alone to a file next to the journal.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub(super) fn keep(&self, captured: &Captured) -> anyhow::Result<Option<PathBuf>> {
        let Some(before) = &captured.before else { return Ok(None) };
        let place = &captured.place;
        let name = format!("{}-{}-{}.json", place.kind.to_lowercase(), place.namespace, place.name);
        let file = self.path.with_extension("").with_extension(name);
        private::replace(&file, &serde_json::to_vec_pretty(before)?)?;
        Ok(Some(file))
    }

    /// Removes the journal: everything is restored.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let removed = fs::remove_file(&self.path);
        removed.with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

fn busy(mut file: File) -> anyhow::Error {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let who = match text.lines().next().map(serde_json::from_str) {
        Some(Ok(Line::Begin { command, process, .. })) => format!("`meshy {command}` (process {process})"),
        _ => "another meshy".to_owned(),
    };
    let error = anyhow!("{who} is changing the policies of this cluster");
    error.hint("wait for it or end it").id("lab-busy").exit(Exit::Failed)
}

/// Parses the lines. A last line without an end was being written when the run was killed: its change did not begin.
fn held(text: &str) -> anyhow::Result<(Held, String)> {
    let (mut held, mut by) = (Held::default(), "meshy".to_owned());
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (number, line) in whole.lines().enumerate() {
        let line = serde_json::from_str(line).with_context(|| format!("in line {}", number + 1))?;
        let wrong = || format!("line {} names an object that no line before it has", number + 1);
        match line {
            Line::Begin { version, command, .. } => {
                ensure!(version == VERSION, "version {version} of the file is not supported");
                by = format!("meshy {command}");
            }
            Line::Object(captured) => held.objects.push(*captured),
            Line::Writes { object, wanted } => {
                held.objects.get_mut(object).with_context(wrong)?.writes(wanted);
            }
            Line::Stored { object, state } => held.objects.get_mut(object).with_context(wrong)?.stored(state),
            Line::Fault(fault) => held.faults.push(fault),
            Line::Namespace(name) => held.namespaces.push(name),
        }
    }
    Ok((held, by))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::owners::Part;
    use super::*;
    use crate::policy::capture::{Place, Written};
    use crate::test_service::Fault;

    fn captured() -> Captured {
        let (api_version, kind) = ("v1".to_owned(), "Service".to_owned());
        let (namespace, name) = ("default".to_owned(), "a".to_owned());
        let place = Place { part: Part::Retries, api_version, kind, namespace, name };
        let before = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "managedFields": [
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"ports": [{"port": 1}]},
        }));
        Captured { place, before: before.unwrap(), written: Vec::new() }
    }

    #[test]
    fn a_killed_run_leaves_what_it_has_to_restore() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut journal = Journal::lock(path.clone()).unwrap();
        journal.begin("demo").unwrap();
        journal.object(&captured()).unwrap();
        journal.writes(0, &json!({"retries": {}})).unwrap();
        journal.stored(0, &json!({"retries": {}})).unwrap();
        let fault = PodFault { namespace: "default".into(), pod: "p".into(), fault: Fault::default() };
        journal.fault(&fault).unwrap();
        drop(journal);
        // The run was killed in the middle of a line.
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"writes\":{\"obj").unwrap();

        let journal = Journal::lock(path.clone()).unwrap();
        let (held, by) = journal.read().unwrap();
        assert_eq!((by.as_str(), held.faults), ("meshy demo", vec![fault]));
        let state = json!({"retries": {}});
        assert_eq!(held.objects[0].written, [Written { wanted: state.clone(), stored: Some(state) }]);
        assert_eq!(json!(held.objects[0].before), json!(captured().before), "with its owners");
        journal.finish().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_second_run_on_the_same_cluster_is_refused_with_the_first_ones_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut first = Journal::lock(path.clone()).unwrap();
        first.begin("sweep").unwrap();
        let error = Journal::lock(path.clone()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "`meshy sweep` (process {}) is changing the policies of this cluster",
                std::process::id()
            )
        );
        first.finish().unwrap();
        Journal::lock(path).unwrap();
    }

    #[test]
    fn a_journal_that_cannot_be_understood_is_an_error_and_not_an_empty_one() {
        for text in [
            "{\"begin\":{\"version\":2,\"command\":\"demo\",\"process\":1}}\n",
            "nonsense\n",
            "{\"writes\":{\"object\":0,\"wanted\":1}}\n",
        ] {
            assert!(held(text).is_err(), "{text}");
        }
        assert!(held("").unwrap().0.is_empty());
    }
}
