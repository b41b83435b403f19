//! `meshy lint`: policies that are accepted and do not have the intended effect.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use meshy_linkerd::lint::{self, Finding, World};
use serde::Serialize;
use serde_json::Value;

use super::up::programs;
use crate::args::Output;
use crate::context::Context;
use crate::mesh::{calls, survey};
use meshy_base::bounded::{self, Links};
use meshy_base::error::{Advise, Exit};
use meshy_base::input;
use meshy_topology::Topology;

/// Flags of `meshy lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy lint                        the cluster\n  \
                        meshy lint linkerd/service-profiles/*.yaml\n  meshy lint -o github k8s/          annotations of the files in GitHub Actions\n  meshy lint shop.yaml policies/     the calls of a topology too\n\nExit code 6: there are findings. Each id has a page in docs/lint.")]
pub struct Args {
    /// Files or folders of YAML, `-` for stdin; none: the cluster
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How findings are printed: text, JSON, or annotations of the files in GitHub Actions
    // The global flag, which has only two forms elsewhere, as in `meshy graph`.
    #[arg(long, short, value_parser = Output::of_findings(), default_value = "text", value_name = "FORM")]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    findings: &'a [Finding],
}

/// Prints the findings.
///
/// # Errors
/// A file cannot be read, or the cluster cannot be read.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let findings = if args.files.is_empty() {
        let client = context.client().await?;
        let mut findings = lint::lint(&survey::world(&client).await?);
        findings.extend(calls::of_cluster(&client).await?);
        if let Some(lab) = context.used_lab()? {
            findings.extend(programs::lint(context, &lab).await?);
        }
        findings
    } else {
        from_files(&args.files)?
    };
    if args.output == Output::Github {
        crate::ui::data(&lint::github(&findings, line))?;
    } else {
        context.data(&Document { findings: &findings }, |d| survey::words(d.findings))?;
    }
    if findings.is_empty() {
        context.report.say("nothing found");
        return Ok(Exit::Done);
    }
    Ok(Exit::Lint)
}

/// Returns the line of a finding in its file; none where the file cannot be read again.
fn line(place: &lint::Place) -> Option<usize> {
    let text = bounded::read_text(Path::new(place.file.as_deref()?), input::LARGEST, Links::Followed).ok()?;
    lint::line(&text, place)
}

/// Lints the objects of files, and the calls of the topologies among them with the other objects as policies.
fn from_files(files: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let mut world = World::new();
    let (mut objects, mut topologies) = (Vec::new(), Vec::new());
    let mut seen = 0;
    for file in files.iter().map(|f| expand(f)).collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten() {
        let text = read(&file)?;
        let name = file.display().to_string();
        let documents: Vec<Value> = serde_yaml::from_multiple(&text)
            .with_context(|| format!("{name} is not YAML"))
            .exit(Exit::Usage)?;
        for document in documents.into_iter().filter(|d| !d.is_null()) {
            seen += 1;
            if document["kind"] == "Topology" {
                topologies.push((Topology::parse(&name, &text).exit(Exit::Usage)?, name.clone()));
                continue;
            }
            objects.push(document.clone());
            world.add_target(document, Some(&name));
        }
    }
    if seen == 0 {
        return Err(anyhow!("there is no object in the files")).exit(Exit::Usage);
    }
    let mut findings = lint::lint(&world);
    for (topology, file) in &topologies {
        let found = calls::of_topology(topology, &objects).into_iter();
        findings.extend(found.map(|mut finding| {
            finding.place.file = Some(file.clone());
            finding
        }));
    }
    Ok(findings)
}

/// A folder's YAML files, or the file itself.
fn expand(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json"));
    files.sort();
    Ok(files)
}

/// A file's text, or stdin's for `-`.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    let text = input::any_text(file);
    text.with_context(|| format!("cannot read {}", file.display())).exit(Exit::Usage)
}
