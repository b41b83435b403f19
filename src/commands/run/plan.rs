//! Reads a scenario with everything that it names. Mistakes end here, before anything is started.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use meshy_base::bounded::Links;
use meshy_base::error::Advise as _;
use meshy_base::{bounded, input};
use meshy_experiment::condition::parse_list;
use meshy_experiment::scenario::policies::near_shipped;
use meshy_experiment::scenario::{Scenario, Settings, Via, shipped};
use meshy_topology::Topology;

use super::Args;
use crate::runner::{Graph, Limits, Plan};

impl Args {
    /// Reads the scenario, its policies and its topology.
    pub(in crate::commands) fn read(&self) -> anyhow::Result<Plan> {
        let name = self.scenario.as_deref().unwrap_or_default();
        let settings = Settings { set: self.set.clone(), fast: self.fast };
        let path = Path::new(name);
        let is_path = name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
        let found = match shipped::find(name) {
            Ok(found) => Some(found),
            Err(_) if is_path => None,
            Err(problem) => return Err(problem.into()),
        };
        let (file, text, scenario, policies) = match &found {
            None => {
                let text = input::any_text(path).with_context(|| format!("cannot read {name}"))?;
                let scenario = self.selected(Scenario::parse(name, &text, &settings)?)?;
                let policies = scenario.policy_files_among(name, near(path), &names_near(path))?;
                (name.to_owned(), text, scenario, policies)
            }
            Some(found) => {
                let scenario = self.selected(found.parse(&settings)?)?;
                let policies = scenario.policy_files(found.path, near_shipped(found))?;
                (found.path.to_owned(), found.text.to_owned(), scenario, policies)
            }
        };
        let graph = self.graph(&scenario, (&file, &text), found.is_none().then_some(path))?;
        if let Some(services) = services(&graph) {
            scenario.check_services(&file, &services)?;
            scenario.check_policies(&file, &policies, &services)?;
        }
        check_loads(&scenario, &file, &graph)?;
        Ok(Plan {
            scenario,
            file,
            policies,
            graph,
            tags: self.tags.clone(),
            limits: Limits { allow_storm: self.allow_storm, max_attempts: self.max_attempts },
            paused: self.pause || self.present,
        })
    }

    fn selected(&self, scenario: Scenario) -> anyhow::Result<Scenario> {
        let mut scenario = match (&self.only, &self.start_at) {
            (Some(step), _) => scenario.only(step)?,
            (None, Some(step)) => scenario.start_at(step)?,
            (None, None) => scenario,
        };
        for text in &self.expect {
            let parsed =
                parse_list(text).map_err(|error| anyhow!("invalid condition `{text}`: {}", error.text));
            for condition in
                parsed.hint("docs/scenarios.md shows the form, for example success>=99%,p99<200ms")?
            {
                scenario.expect_also(condition)?;
            }
        }
        Ok(scenario)
    }

    /// Reads the topology of a scenario.
    fn graph(
        &self,
        scenario: &Scenario,
        (file, text): (&str, &str),
        path: Option<&Path>,
    ) -> anyhow::Result<Graph> {
        let Some(topology) = &scenario.topology else {
            if !scenario.variants.is_empty() {
                return Err(anyhow!("{file} has variants and no topology"))
                    .hint("variants run in parallel, each in a namespace with its topology");
            }
            return Ok(Graph::Deployed(self.namespace.clone().unwrap_or_else(|| "default".to_owned())));
        };
        if self.namespace.is_some() {
            return Err(anyhow!("`--namespace` is for a scenario without a topology, and {file} has one"));
        }
        let topology = match topology.name() {
            Some(name) => {
                let near =
                    path.and_then(Path::parent).map(|folder| folder.join(name)).filter(|file| file.is_file());
                let name = near.as_deref().and_then(Path::to_str).unwrap_or(name);
                Topology::load(name).map_err(|error| anyhow!("{file}:{}: {error}", line_of_topology(text)))?
            }
            None => match inline(text) {
                Some(block) => Topology::parse(file, &block)?,
                None => serde_json::from_value(topology.0.clone())
                    .map_err(|error| anyhow!("{file}:{}: {error}", line_of_topology(text)))?,
            },
        };
        Ok(if topology.overlays.is_empty() {
            Graph::Topology(topology)
        } else {
            Graph::Overlays(names(&topology))
        })
    }
}

/// The line of the key `topology`.
fn line_of_topology(text: &str) -> usize {
    text.lines().position(|line| line.starts_with("topology:")).map_or(1, |place| place + 1)
}

/// Returns the block under `topology:`, every line where it is in the file, so that errors name the right ones. `None` where
/// parameters have to be replaced first, and for a block that is written in braces.
fn inline(text: &str) -> Option<String> {
    let begin = text.lines().position(|line| line.trim_end() == "topology:")? + 1;
    let belongs = |line: &&str| line.trim().is_empty() || line.starts_with([' ', '#']);
    let block: Vec<&str> = text.lines().skip(begin).take_while(belongs).collect();
    let block = block.join("\n");
    (!block.contains("${")).then(|| format!("{}{block}\n", "\n".repeat(begin)))
}

/// Returns a reader of policy files next to a scenario file.
fn near(scenario: &Path) -> impl Fn(&str) -> Option<String> {
    let folder = scenario.parent().unwrap_or(Path::new("")).to_owned();
    move |name| bounded::read_text(&folder.join(name), input::LARGEST, Links::Followed).ok()
}

/// The folder below that of a scenario in which policies may be, as for the shipped ones.
const POLICIES: &str = "policies";

/// Returns the YAML files next to a scenario, as a step can name them.
fn names_near(scenario: &Path) -> Vec<String> {
    let folder = scenario.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = |below: &Path| {
        let entries = std::fs::read_dir(folder.join(below)).into_iter().flatten().flatten();
        let paths = entries.map(|entry| below.join(entry.file_name())).collect::<Vec<_>>();
        paths.into_iter().filter_map(|path| path.to_str().map(str::to_owned))
    };
    let is_yaml = |name: &String| name.ends_with(".yaml") || name.ends_with(".yml");
    names(Path::new("")).chain(names(Path::new(POLICIES))).filter(is_yaml).collect()
}

/// The services of a topology; `None` where the cluster decides.
fn services(graph: &Graph) -> Option<Vec<&str>> {
    match graph {
        Graph::Overlays(names) => Some(names.iter().map(String::as_str).collect()),
        Graph::Topology(topology) => {
            Some(topology.services.iter().map(|service| service.name.as_str()).collect())
        }
        Graph::Deployed(_) => None,
    }
}

/// Checks that each load is sent from this machine, and through the ingress only to an entry point.
fn check_loads(scenario: &Scenario, file: &str, graph: &Graph) -> anyhow::Result<()> {
    let is_entry = |service: &str| match graph {
        Graph::Overlays(names) => names.iter().any(|name| name == service),
        Graph::Topology(topology) => topology.entrypoints().any(|entry| entry.name == service),
        Graph::Deployed(_) => true,
    };
    for step in &scenario.steps {
        let Some(load) = &step.load else { continue };
        let place = format!("{file}:{}: step `{}`", load.target.line, step.name.value);
        if load.senders.is_some() && load.via == Some(Via::Ingress) {
            return Err(anyhow!("{place}: senders in the cluster call services themselves"))
                .hint("a load without `senders` is sent through the ingress");
        }
        let reached =
            load.senders.is_some() || load.via == Some(Via::PortForward) || load.target.contains("://");
        if !reached && !is_entry(&load.target.value) {
            return Err(anyhow!("{place}: `{}` is not an entry point", load.target.value))
                .hint("a load is sent to a service with `entrypoint: true`, or with `via: port-forward`");
        }
    }
    Ok(())
}

/// The names of the overlays, which may be written as folders.
fn names(topology: &Topology) -> Vec<String> {
    let name = |overlay: &String| overlay.rsplit('/').next().unwrap_or(overlay).to_owned();
    topology.overlays.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_an_inline_topology_stay_where_they_are() {
        let text = "kind: Scenario\ntopology:\n  services:\n\n    - { name: a }\nsteps: []\n";
        assert_eq!(inline(text).as_deref(), Some("\n\n  services:\n\n    - { name: a }\n"));
        assert_eq!(inline(&text.replace("name: a", "name: ${a}")), None);
        assert_eq!((inline("topology: shop\n"), line_of_topology(text)), (None, 2));
    }
}
