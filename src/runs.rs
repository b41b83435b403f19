//! Recorded runs: one folder, a versioned JSON file each, so that `report`, `compare` and `explain` work later.

use meshy_kube::failure;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_linkerd::names;
use serde::{Deserialize, Serialize};

use crate::last_load;
use crate::measure::Step;
use meshy_base::Report;
use meshy_base::error::Advise;
use meshy_base::input;
use meshy_base::private;
use meshy_lab::lab;

/// The format of the files.
pub const VERSION: u32 = 2;

/// Runs kept; with a demo's 50 KiB each the folder stays at some 5 MiB.
const KEPT: usize = 100;

/// A run as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// [`VERSION`].
    pub version: u32,
    /// Its name: when it began.
    pub id: String,
    /// When it began, in UTC.
    pub begun: String,
    /// `traffic`, `demo`.
    pub command: String,
    /// The version of meshy that made it.
    pub meshy: String,
    /// The lab.
    pub lab: String,
    /// Where its cluster comes from.
    pub provider: String,
    /// The cluster's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// The version of its proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkerd: Option<String>,
    /// What was measured, in the order of time.
    pub steps: Vec<Step>,
    /// The verdict, where the run has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Whether what was to be shown was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Verdict {
    /// It was.
    pub holds: bool,
    /// In words.
    pub text: String,
}

impl Run {
    /// A run that begins now.
    pub fn begin(command: &str, lab: &str, provider: &str) -> Self {
        let now = jiff::Timestamp::now();
        Self {
            version: VERSION,
            id: now.strftime("%Y%m%d-%H%M%S-%3f").to_string(),
            begun: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            command: command.to_owned(),
            meshy: env!("CARGO_PKG_VERSION").to_owned(),
            lab: lab.to_owned(),
            provider: provider.to_owned(),
            kubernetes: None,
            linkerd: None,
            steps: Vec::new(),
            verdict: None,
        }
    }

    /// Notes the versions of what the cluster runs. What this user may not read stays unknown.
    ///
    /// # Errors
    /// The API server does not respond as it should.
    pub async fn note_versions(&mut self, client: &kube::Client) -> anyhow::Result<()> {
        self.kubernetes = match client.apiserver_version().await {
            Ok(version) => Some(version.git_version),
            Err(error) if failure::is_forbidden(&error) => None,
            Err(error) => return Err(error).context("cannot read the API server's version"),
        };
        let meshed = ListParams::default().labels(names::CONTROL_PLANE_NS_LABEL);
        let pods = match Api::<Pod>::all(client.clone()).list(&meshed).await {
            Ok(pods) => pods.items,
            Err(error) if failure::is_forbidden(&error) => Vec::new(),
            Err(error) => return Err(error).context("cannot list pods"),
        };
        self.linkerd = pods.iter().find_map(|pod| pod.annotations().get(names::PROXY_VERSION).cloned());
        Ok(())
    }

    /// Writes it into the folder of runs, whole or not at all, and drops the oldest beyond a hundred.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self) -> anyhow::Result<PathBuf> {
        self.save_in(&folder()?)
    }

    /// As [`Run::save`], for a command whose numbers are worth more than the file: a failure is only warned about.
    pub fn save_or_warn(&self, report: &Report) {
        if let Err(error) = self.save() {
            report.warn(format!("the run is not recorded: {error:#}"));
        }
    }

    fn save_in(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        private::ensure_folder(folder)?;
        let file = folder.join(format!("{}.json", self.id));
        private::replace(&file, &serde_json::to_vec(self)?)?;
        last_load::keep(folder, &self.lab, (&self.id, &self.command), &self.steps)?;
        let ids = ids_in(folder)?;
        for id in ids.iter().take(ids.len().saturating_sub(KEPT)) {
            // Another meshy may have dropped it already.
            let _ = fs::remove_file(folder.join(format!("{id}.json")));
        }
        Ok(file)
    }
}

/// The folder: `$XDG_STATE_HOME/meshy/runs`.
///
/// # Errors
/// No home folder is known.
pub fn folder() -> anyhow::Result<PathBuf> {
    let labs = lab::labs_folder()?;
    Ok(labs.parent().context("the state folder has no parent")?.join("runs"))
}

/// The ids of all recorded runs, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn ids() -> anyhow::Result<Vec<String>> {
    ids_in(&folder()?)
}

fn ids_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    ids.sort();
    Ok(ids)
}

/// A run by its id, the begin of it, the path of its file, or `last`.
///
/// # Errors
/// There is none, or more than one; it cannot be read; a newer meshy wrote it.
pub fn load(name: &str) -> anyhow::Result<Run> {
    if name.contains('/') || name.ends_with(".json") {
        return read(Path::new(name));
    }
    let folder = folder()?;
    let ids = ids_in(&folder)?;
    let found: Vec<&String> = match name {
        "last" => ids.last().into_iter().collect(),
        part => ids.iter().filter(|id| id.starts_with(part)).collect(),
    };
    match found[..] {
        [id] => read(&folder.join(format!("{id}.json"))),
        [] => Err(anyhow!("there is no recorded run `{name}`"))
            .hint("`meshy report --list` lists them; `meshy traffic` and `meshy demo` record one"),
        _ => Err(anyhow!("`{name}` is the begin of {} runs", found.len()))
            .hint("`meshy report --list` lists them"),
    }
}

fn read(file: &Path) -> anyhow::Result<Run> {
    let text = input::any(file).with_context(|| format!("cannot read {}", file.display()))?;
    let run: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is not a recorded run", file.display()))?;
    match run["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => bail!("{} has version {version}, this meshy reads {VERSION}", file.display()),
        None => bail!("{} is not a recorded run", file.display()),
    }
    serde_json::from_value(run).with_context(|| format!("{} is not a recorded run", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Mesh;
    use meshy_metrics::Outcomes;
    use meshy_metrics::routes::RouteCounts;
    use meshy_predict::edge::{EdgeLoad, Policy, predict_edge};

    #[test]
    fn a_run_is_read_as_it_was_written_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::begin("traffic", "meshy", "embedded");
        for number in 0..KEPT + 3 {
            run.id = format!("{number:04}");
            let file = run.save_in(folder.path()).unwrap();
            assert_eq!(read(&file).unwrap(), run);
        }
        let ids = ids_in(folder.path()).unwrap();
        assert_eq!((ids.len(), ids[0].as_str()), (KEPT, "0003"));
    }

    /// Every name that a number of the first files had, with its name of today.
    const EARLIER: [(&str, &str); 4] = [
        ("retry_ratio", "retries_per_request"),
        ("limit", "limit_per_request"),
        ("clients", "clients_count"),
        ("added_load_ratio", "added_attempts_per_request"),
    ];

    #[test]
    fn a_file_with_the_names_of_earlier_days_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::begin("traffic", "meshy", "embedded");
        run.steps = [Policy::DEFAULT_BUDGET, Policy::Limit { limit: 3 }].map(measured).into();
        let text = serde_json::to_string(&run).unwrap();
        let earlier = EARLIER.iter().fold(text.clone(), |text, (earlier, today)| {
            assert!(text.contains(&format!("\"{today}\":")), "nothing is called {today}");
            text.replace(&format!("\"{today}\":"), &format!("\"{earlier}\":"))
        });
        // What was added since was absent.
        let earlier = earlier.replace("\"unnamed_error_count\":0,", "");
        assert_ne!(earlier, text);
        let file = folder.path().join("x.json");
        fs::write(&file, earlier).unwrap();
        assert_eq!(read(&file).unwrap(), run);
    }

    fn measured(policy: Policy) -> Step {
        let scenario =
            EdgeLoad { fail_ratio: 0.7, requests_per_second: 4.0, over_seconds: 2.0, clients: 2, policy };
        let outcomes = Outcomes { added_attempts_per_request: Some(1.5), ..Outcomes::default() };
        let (service, clients) = (crate::demo::bounced(), RouteCounts::default());
        let prediction = Some(predict_edge(scenario, 1));
        let (servers, gaps) = (clients.clone(), Vec::new());
        let mesh = Mesh {
            service,
            policy,
            fail_ratio: Some(0.7),
            clients,
            servers,
            outcomes,
            prediction,
            unpredicted: None,
            gaps,
        };
        Step { name: "traffic".to_owned(), mesh: Some(mesh), ..Step::default() }
    }

    #[test]
    fn a_file_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        fs::write(&file, r#"{"version": 99}"#).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("version 99"));
        fs::write(&file, "{}").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("not a recorded run"));
    }
}
