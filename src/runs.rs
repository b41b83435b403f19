//! Recorded runs: one folder, the events of each run as a file, so that `report` and `explain` work later.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_experiment::event::{ConditionResult, Event, Kind};
use meshy_kube::failure;
use meshy_linkerd::names;
use serde::{Deserialize, Serialize};

use crate::steps::{self, Step};
use meshy_base::error::Advise;
use meshy_base::{Report, input};
use meshy_lab::lab;

/// Runs kept; with a demo's 200 KiB each the folder stays at some 20 MiB.
const KEPT: usize = 100;

/// The end of the name of a run's file.
const SUFFIX: &str = ".events.jsonl";

/// No recorded run has this id, beginning of an id, or tag.
#[derive(Debug, thiserror::Error)]
#[error("there is no recorded run `{0}`")]
pub(crate) struct NoSuchRun(String);

/// A recorded run, as reports and comparisons need it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Run {
    /// The id: when it began.
    pub id: String,
    /// When it began, in UTC.
    pub begun: String,
    /// The command.
    pub command: String,
    /// The version of meshy that made it.
    pub meshy: String,
    /// The lab.
    pub lab: String,
    /// Where its cluster comes from.
    pub provider: String,
    /// The tags of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The cluster's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// The version of its proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkerd: Option<String>,
    /// What was measured, in the order of time.
    pub steps: Vec<Step>,
    /// Something to know about the run: a machine that did not keep up, a sender that died.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether the expectations are met, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The expectations with what was measured; documents have them next to the run.
    #[serde(skip)]
    pub condition_results: Vec<ConditionResult>,
}

/// Whether all expectations are met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Verdict {
    /// Whether all expectations are met.
    pub holds: bool,
    /// The verdict in words.
    pub text: String,
}

impl Verdict {
    /// Returns the verdict of a run; none without expectations.
    pub(crate) fn of(condition_results: &[ConditionResult]) -> Option<Self> {
        let all = condition_results.len();
        let gate = meshy_experiment::gate::Gate {
            condition_results: condition_results.to_vec(),
            ..Default::default()
        };
        let noun = if all == 1 { "expectation is" } else { "expectations are" };
        let text = gate.failure().unwrap_or_else(|| format!("{all} of {all} {noun} met"));
        (all > 0).then(|| Self { holds: gate.is_met(), text })
    }
}

impl Run {
    /// Builds the run from its events.
    pub(crate) fn of(run: &meshy_experiment::run::Run) -> Self {
        let started = run.started().cloned().unwrap_or_default();
        let version = |name: &str| started.versions.get(name).cloned();
        let condition_results: Vec<ConditionResult> = run
            .events()
            .iter()
            .filter_map(|event| match &event.kind {
                Kind::Expectation(condition_result) => Some(condition_result.clone()),
                _ => None,
            })
            .collect();
        let begun = run.events().first().map(|event| event.time.clone()).unwrap_or_default();
        Self {
            // To the second: reports are for people.
            begun: begun.split('.').next().map(|time| format!("{time}Z")).unwrap_or_default(),
            meshy: version("meshy").unwrap_or_default(),
            kubernetes: version("kubernetes"),
            linkerd: version("linkerd"),
            id: started.run,
            command: started.command,
            lab: started.lab,
            provider: started.provider,
            scenario: started.scenario,
            tags: started.tags,
            steps: steps::of(run),
            notes: run.events().iter().filter_map(note).collect(),
            verdict: Verdict::of(&condition_results),
            condition_results,
        }
    }
}

fn note(event: &Event) -> Option<String> {
    let Kind::Note(note) = &event.kind else { return None };
    Some(match &event.variant {
        Some(variant) => format!("{variant}: {}", note.text),
        None => note.text.clone(),
    })
}

/// Returns the version of this program, by its name.
pub(crate) fn own_version() -> BTreeMap<String, String> {
    BTreeMap::from([("meshy".to_owned(), env!("CARGO_PKG_VERSION").to_owned())])
}

/// Returns the versions of meshy and of what the cluster runs: `meshy`, `kubernetes`, `linkerd`. What this user may not read
/// is absent.
///
/// # Errors
/// The API server does not respond as it should.
pub(crate) async fn versions(client: &kube::Client) -> anyhow::Result<BTreeMap<String, String>> {
    let mut versions = own_version();
    match client.apiserver_version().await {
        Ok(version) => drop(versions.insert("kubernetes".to_owned(), version.git_version)),
        Err(error) if failure::is_forbidden(&error) => {}
        Err(error) => return Err(error).context("cannot read the API server's version"),
    }
    let meshed = ListParams::default().labels(names::CONTROL_PLANE_NS_LABEL);
    let pods = match Api::<Pod>::all(client.clone()).list(&meshed).await {
        Ok(pods) => pods.items,
        Err(error) if failure::is_forbidden(&error) => Vec::new(),
        Err(error) => return Err(error).context("cannot list pods"),
    };
    let proxy = pods.iter().find_map(|pod| pod.annotations().get(names::PROXY_VERSION).cloned());
    versions.extend(proxy.map(|version| ("linkerd".to_owned(), version)));
    Ok(versions)
}

/// Returns the folder: `$XDG_STATE_HOME/meshy/runs`.
///
/// # Errors
/// No home folder is known.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let labs = lab::labs_folder()?;
    Ok(labs.parent().context("the state folder has no parent")?.join("runs"))
}

/// Returns the file of a run.
///
/// # Errors
/// No home folder is known.
pub(crate) fn file(id: &str) -> anyhow::Result<PathBuf> {
    Ok(folder()?.join(format!("{id}{SUFFIX}")))
}

/// Returns the ids of all recorded runs, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn ids() -> anyhow::Result<Vec<String>> {
    ids_in(&folder()?)
}

fn ids_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(SUFFIX)?.to_owned())).collect();
    ids.sort();
    Ok(ids)
}

/// Removes the oldest runs beyond a hundred.
pub(crate) fn drop_oldest(report: &Report) {
    let removed = folder().and_then(|folder| drop_oldest_in(&folder));
    if let Err(error) = removed {
        report.warn(format!("old runs are not removed: {error:#}"));
    }
}

fn drop_oldest_in(folder: &Path) -> anyhow::Result<()> {
    let ids = ids_in(folder)?;
    for id in ids.iter().take(ids.len().saturating_sub(KEPT)) {
        // Another meshy may have removed it already.
        let _ = fs::remove_file(folder.join(format!("{id}{SUFFIX}")));
    }
    Ok(())
}

/// Returns a run by its id, the beginning of it, the path of its file, or `last`.
///
/// # Errors
/// There is none, or more than one; it cannot be read; another version of meshy wrote it.
pub(crate) fn load(name: &str) -> anyhow::Result<Run> {
    events(name).map(|run| Run::of(&run))
}

/// As [`load`], with all events.
///
/// # Errors
/// As there.
pub(crate) fn events(name: &str) -> anyhow::Result<meshy_experiment::run::Run> {
    read(&find(name)?)
}

/// Reads a tag of a run: a name that is not the beginning of an id.
///
/// # Errors
/// It can be taken for another name of a run.
pub(crate) fn tag(text: &str) -> anyhow::Result<String> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_tag = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_inner);
    let is_other = text == "last" || text.ends_with(".json") || text.ends_with(".jsonl");
    match is_tag && !is_other {
        true => Ok(text.to_owned()),
        false => {
            Err(anyhow!("expected a letter, then letters, digits, `-`, `_` or `.`; `last` is the last run"))
        }
    }
}

/// Returns the file of a run by its id, the beginning of it, the path of the file, or `last`; else the last run with that tag.
///
/// # Errors
/// There is none, or more than one; the folder cannot be read.
pub(crate) fn find(name: &str) -> anyhow::Result<PathBuf> {
    if name.contains('/') || name.ends_with(".jsonl") || name.ends_with(".json") {
        return Ok(PathBuf::from(name));
    }
    find_in(&folder()?, name)
}

fn find_in(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let ids = ids_in(folder)?;
    let found: Vec<&String> = match name {
        "last" => ids.last().into_iter().collect(),
        part => ids.iter().filter(|id| id.starts_with(part)).collect(),
    };
    let found = if found.is_empty() { with_tag(folder, &ids, name).into_iter().collect() } else { found };
    match found[..] {
        [id] => Ok(folder.join(format!("{id}{SUFFIX}"))),
        [] => Err(anyhow::Error::new(NoSuchRun(name.to_owned()))).hint(
            "`meshy report --list` lists them; `meshy traffic`, `meshy run` and `meshy demo` record one",
        ),
        _ => Err(anyhow!("`{name}` is the beginning of {} runs", found.len()))
            .hint("`meshy report --list` lists them"),
    }
}

/// Returns the id of the last run with a tag. Files that cannot be read have none.
fn with_tag<'a>(folder: &Path, ids: &'a [String], name: &str) -> Option<&'a String> {
    let has_tag = |id: &&String| {
        let run = read(&folder.join(format!("{id}{SUFFIX}"))).ok();
        run.is_some_and(|run| run.started().is_some_and(|started| started.tags.iter().any(|tag| tag == name)))
    };
    ids.iter().rev().find(has_tag)
}

/// Reads the events of a run from its file.
///
/// # Errors
/// The file cannot be read, or another version of meshy wrote it.
pub(crate) fn read(file: &Path) -> anyhow::Result<meshy_experiment::run::Run> {
    let text = input::any(file).with_context(|| format!("cannot read {}", file.display()))?;
    let run = meshy_experiment::run::Run::read(&text[..]);
    run.with_context(|| format!("{} is not a recorded run that this meshy reads", file.display()))
}

#[cfg(test)]
mod tests {
    use meshy_base::error;

    use super::*;

    #[test]
    fn a_run_is_found_by_the_beginning_of_its_id() {
        let folder = tempfile::tempdir().unwrap();
        for id in ["20260101-1", "20260102-1", "20260102-2"] {
            fs::write(folder.path().join(format!("{id}{SUFFIX}")), "").unwrap();
        }
        let found = |name: &str| {
            find_in(folder.path(), name).map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(found("last").unwrap(), "20260102-2.events.jsonl");
        assert_eq!(found("20260101").unwrap(), "20260101-1.events.jsonl");
        assert!(found("20260102").unwrap_err().to_string().contains("2 runs"));
        let absent = found("x").unwrap_err();
        assert!(absent.to_string().contains("no recorded run `x`"));
        assert!(error::cause::<NoSuchRun>(&absent).is_some(), "behind its hint");
        assert!(error::cause::<NoSuchRun>(&found("20260102").unwrap_err()).is_none());
    }

    #[test]
    fn a_tag_cannot_be_taken_for_another_name_of_a_run() {
        for text in ["before", "v1.2_a-b"] {
            assert_eq!(tag(text).unwrap(), text);
        }
        for text in ["", "last", "20260101", "a/b", "a.json", "a b"] {
            assert!(tag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_oldest_runs_beyond_a_hundred_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..KEPT + 3 {
            fs::write(folder.path().join(format!("{number:04}{SUFFIX}")), "").unwrap();
        }
        drop_oldest_in(folder.path()).unwrap();
        let ids = ids_in(folder.path()).unwrap();
        assert_eq!((ids.len(), ids[0].as_str()), (KEPT, "0003"));
    }

    #[test]
    fn a_file_of_another_version_is_refused_by_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        for (text, part) in [("{\"version\": 99}\n", "format 99"), ("{}\n", "line 1")] {
            fs::write(&file, text).unwrap();
            let error = read(&file).unwrap_err();
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
