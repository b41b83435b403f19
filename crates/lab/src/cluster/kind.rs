//! Kubernetes in Docker, through the kind program.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::doctor;
use super::engine::{self, Engine};
use super::kind_config::kind_config;
use super::nodes::{self, NETWORK, Node};
use super::{Part, Spec, addresses, kubeconfig, ports, pull, recorded, registry};
use crate::lab::Env;
use crate::lab::{self, KindState, LabName, Record, files};
use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_base::exec::{Failure, Program, find, first_line};
use meshy_base::private;
use tokio::sync::OnceCell;

mod containers;

pub(super) use containers::remove_containers;
use containers::{STRAGGLER, part, remove_network, restart, stop_nodes};

/// The provider.
#[derive(Debug, Default)]
pub struct Kind {
    engine: OnceCell<Engine>,
}

/// Why kind cannot be used here; none when it can.
pub(super) async fn unusable() -> Option<String> {
    if let Some(missing) = ["docker", "kind"].into_iter().find(|p| find(p).is_none()) {
        return Some(format!("there is no program `{missing}`"));
    }
    engine::connect().await.err().map(|e| e.to_string())
}

async fn programs() -> anyhow::Result<()> {
    let hints = [
        (
            "kind",
            "install kind (https://kind.sigs.k8s.io), or use `--provider embedded`, which needs nothing",
        ),
        ("docker", "kind uses the docker program: install it, or use `--provider embedded`"),
    ];
    for (program, hint) in hints {
        if find(program).is_none() {
            return Err(anyhow!("there is no program `{program}` in PATH"))
                .hint(hint)
                .id("program-absent")
                .exit(Exit::Prerequisite);
        }
    }
    first_line("kind", &["version"], Duration::from_secs(5)).await.map(drop)
}

fn certs_d(name: &LabName) -> anyhow::Result<PathBuf> {
    Ok(lab::folder(name)?.join(files::CERTS_D))
}

async fn own_nodes(engine: &Engine, name: &LabName) -> anyhow::Result<Vec<Node>> {
    let nodes = nodes::list(engine, name, &certs_d(name)?).await?;
    if nodes.iter().any(|n| !n.ours) {
        return Err(anyhow!("there is a kind cluster `{name}` that meshy did not create"))
            .hint(format!("`--context kind-{name}` uses it as it is; `--name` makes a lab of another name"))
            .id("cluster-foreign")
            .exit(Exit::Prerequisite);
    }
    Ok(nodes)
}

impl Kind {
    async fn create(&self, env: &Env, engine: &Engine, record: &Record) -> anyhow::Result<()> {
        let folder = lab::folder(&record.name)?;
        let config = kind_config(record.kind()?, &certs_d(&record.name)?);
        let own = folder.join(files::KUBECONFIG);
        let program = Program::new("kind")
            .args(["create", "cluster", "--name", &record.name, "--config", "-", "--kubeconfig"])
            .args([own])
            .env("DOCKER_HOST", &engine.endpoint.host)
            .env("KIND_EXPERIMENTAL_PROVIDER", "docker")
            .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", NETWORK)
            .input(config);
        let Err(error) = program.run(env.deadline).await else { return Ok(()) };
        // Nothing half-made stays behind, and what stands in the way of that is not what the user must hear first.
        if let Ok(nodes) = own_nodes(engine, &record.name).await {
            let _ = nodes::remove(engine, &nodes).await;
        }
        Err(text_of(error, record.kind()?))
            .with_context(|| format!("cannot create cluster `{}`", record.name))
    }

    /// Kind's own words, with what the user can do where they are known.
    async fn merge(&self, env: &Env, engine: &Engine, record: &mut Record) -> anyhow::Result<bool> {
        let folder = lab::folder(&record.name)?;
        let own = folder.join(files::KUBECONFIG);
        // Kind knows the address of the API server, which an engine may have given again.
        let text = match std::fs::read_to_string(&own) {
            Ok(text) => text,
            Err(_) => {
                let program = Program::new("kind").args(["get", "kubeconfig", "--name", &record.name]);
                let text = program.env("DOCKER_HOST", &engine.endpoint.host).run(env.deadline).await?;
                private::replace(&own, text.as_bytes())?;
                text
            }
        };
        let entries = kubeconfig::Entries::of(&text, &record.context)?;
        let merged = kubeconfig::merge(record.kubeconfig.as_deref(), &folder, &entries).await?;
        merged.report(&env.report);
        if merged.changed {
            record.previous_context = merged.previous.or(record.previous_context.take());
        }
        Ok(merged.changed)
    }
}

/// The output of kind, shortened to its error, with a hint where the cause is known.
fn text_of(error: anyhow::Error, kind: &KindState) -> anyhow::Error {
    let Some(said) = error.downcast_ref::<Failure>().map(|f| f.said.clone()) else { return error };
    let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
    let cause =
        said.lines().filter(|l| l.contains("ERROR") || l.contains("Error")).collect::<Vec<_>>().join("; ");
    let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default().to_owned();
    let short = if cause.is_empty() { last } else { cause };
    let image = kind.node_image.as_deref().unwrap_or_default();
    let (what, hint) = if has(&[
        "failed to pull image",
        "pull access denied",
        "manifest unknown",
        "no such image",
    ]) {
        (
            format!("image `{image}` cannot be pulled"),
            "check the connection; `--node-image` names another image; `docker load` loads one without internet",
        )
    } else if has(&["port is already allocated", "address already in use", "Ports are not available"]) {
        ("a port was taken in the meantime".to_owned(), "run it again: another port is found then")
    } else if has(&["too many open files"]) {
        (
            "the system ran out of inotify watches".to_owned(),
            "`sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288`",
        )
    } else {
        ("kind failed".to_owned(), "`meshy check --machine` checks this machine; `-v` shows more")
    };
    anyhow!("{short}").context(what).hint(hint).id("kind-failed").exit(Exit::Failed)
}

impl Kind {
    /// Returns the engine; the first call connects to it.
    async fn engine(&self) -> anyhow::Result<&Engine> {
        self.engine.get_or_try_init(engine::connect).await
    }

    pub(super) async fn plan(&self, env: &Env, spec: &Spec, known: Option<Record>) -> anyhow::Result<Record> {
        programs().await?;
        let engine = self.engine().await?;
        let name = &env.name;
        let left = own_nodes(engine, name).await?;
        // Of a lab that never came to be, ports may have been taken since: they are looked for again.
        if let Some(known) = known.as_ref().filter(|k| k.made) {
            spec.fits(known)?;
            return Ok(known.clone());
        }
        doctor::preflight(&env.report).await?;
        let begun = known.is_some();
        let new = || Record::new(name, lab::Provider::Kind, format!("kind-{name}"));
        let mut record = known.unwrap_or_else(new);
        if begun && !env.dry_run {
            // What a killed run left: its ports must count as free, and its stragglers be there to be seen.
            nodes::remove(engine, &left).await?;
            tokio::time::sleep(STRAGGLER).await;
        }
        let mapped = nodes::mapped_ports(engine, "").await?;
        let (http, https) = ports::pair(ports::test(mapped))?;
        if http != 80 && !spec.without_ingress {
            env.report.say(format!("ports 80/443 are taken; the ingress will be at {http}/{https}"));
        }
        let registry_port = registry::plan(engine, name).await?;
        if let Some(asked) = env.kubeconfig.as_deref() {
            record.kubeconfig = Some(std::path::absolute(asked)?);
        }
        let network = engine::there(engine.docker.inspect_network(NETWORK, None).await);
        let network = network.with_context(|| format!("cannot look for the network `{NETWORK}`"))?;
        let kind = record.kind_mut()?;
        (kind.http_port, kind.https_port) = (Some(http), Some(https));
        kind.registry_port = Some(registry_port);
        kind.made_network |= network.is_none();
        spec.note(kind, begun);
        Ok(record)
    }

    pub(super) async fn ensure(&self, env: &Env, mut record: Record) -> anyhow::Result<Record> {
        let engine = self.engine().await?;
        let name = record.name.clone();
        let port = record.registry_port().context("no port was planned for the registry")?;
        registry::write_hosts(&certs_d(&name)?, &name, port)?;
        let nodes = own_nodes(engine, &name).await?;
        let step = env.report.step("Creating", format!("cluster `{name}`"));
        let workers = record.kind()?.workers;
        let whole = record.made && nodes.len() == usize::from(workers) + 1;
        let result = if whole {
            restart(engine, &record, &nodes, &step, env.deadline).await?
        } else {
            if !nodes.is_empty() {
                step.waiting("removing incomplete parts of an earlier run");
                nodes::remove(engine, &nodes).await?;
            }
            let _ = std::fs::remove_file(lab::folder(&name)?.join(files::KUBECONFIG));
            if let Err(error) = self.create(env, engine, &record).await {
                step.failed();
                return Err(error);
            }
            format!("{} nodes", workers + 1)
        };
        self.merge(env, engine, &mut record).await?;
        let now = addresses::of(&own_nodes(engine, &name).await?);
        let kind = record.kind_mut()?;
        let moved = addresses::changes(&kind.addresses, &now);
        kind.addresses = now;
        record.made = true;
        record.save()?;
        step.done(result);
        for line in moved {
            env.report.say(line);
        }
        Ok(record)
    }

    pub(super) async fn ensure_registry(&self, env: &Env, record: &Record) -> anyhow::Result<Option<u16>> {
        let engine = self.engine().await?;
        let thing = format!("registry `{}`", registry::name(&record.name));
        let port = env.report.run("Ensuring", thing, registry::ensure(engine, record, env.deadline)).await?;
        Ok(Some(port))
    }

    pub(super) async fn connect(&self, env: &Env, record: &Record) -> anyhow::Result<()> {
        let engine = self.engine().await?;
        let nodes = own_nodes(engine, &record.name).await?;
        let joined = async {
            registry::join(engine, &record.name, NETWORK).await?;
            let ours = format!("localhost:{}/", record.registry_port().unwrap_or_default());
            let Some(image) = record.image.as_deref().filter(|i| i.starts_with(&ours)) else {
                return Ok(());
            };
            let thing = format!("the image on {} nodes", nodes.len());
            env.report.run("Pulling", thing, pull::on_all(engine, &nodes, image)).await
        };
        let ready = async {
            let step = env.report.step("Waiting", "for the nodes");
            let client = env.client_of(record).await?;
            let all = async {
                let count = usize::from(record.kind()?.workers) + 1;
                super::ready::nodes(&client, count, env.deadline, &step).await?;
                let started = nodes::started(engine, &nodes).await?;
                super::reboot::reported_again(&client, &started, env.deadline, &step).await
            };
            let all = all.await;
            step.ended(all, |()| "all Ready".to_owned())?;
            super::ready::publish_registry(&client, record, env.deadline).await
        };
        tokio::try_join!(joined, ready)?;
        Ok(())
    }

    pub(super) async fn parts(&self, record: &Record) -> anyhow::Result<Vec<Part>> {
        let engine = self.engine().await?;
        let nodes = own_nodes(engine, &record.name).await?;
        let kind = record.kind()?;
        let mut parts: Vec<Part> = nodes.iter().map(|n| part(n, kind)).collect();
        let missing = (usize::from(kind.workers) + 1).saturating_sub(nodes.len());
        if missing > 0 {
            let state = if record.made { "deleted since it was created" } else { "not created yet" };
            parts.push(Part {
                name: format!("{missing} nodes"),
                ready: false,
                state: state.into(),
                address: None,
            });
        }
        let registry = registry::state(engine, &record.name).await?;
        let (ready, state) = registry.unwrap_or((false, "not there".to_owned()));
        parts.push(Part {
            name: format!("registry `{}`", registry::name(&record.name)),
            ready,
            state,
            address: kind.registry_port.map(|p| format!("localhost:{p}")),
        });
        Ok(parts)
    }

    pub(super) async fn stopped(&self, record: &Record) -> anyhow::Result<Option<String>> {
        let engine = self.engine().await?;
        let nodes = own_nodes(engine, &record.name).await?;
        if nodes.is_empty() {
            return Ok(Some("none of its nodes exists".to_owned()));
        }
        let stopped = nodes.iter().find(|node| !node.running);
        Ok(stopped.map(|node| format!("node `{}` is stopped: {}", node.name, node.state)))
    }

    pub(super) async fn start(&self, env: &Env, record: Record) -> anyhow::Result<Record> {
        self.ensure_registry(env, &record).await?;
        self.ensure(env, record).await
    }

    pub(super) async fn stop(&self, env: &Env, record: &Record) -> anyhow::Result<()> {
        let engine = self.engine().await?;
        let step = env.report.step("Stopping", format!("cluster `{}`", record.name));
        let nodes = own_nodes(engine, &record.name).await?;
        stop_nodes(engine, &nodes).await?;
        registry::stop(engine, &record.name).await?;
        step.done(format!("{} nodes and the registry", nodes.len()));
        Ok(())
    }

    pub(super) async fn delete(&self, env: &Env, record: &Record) -> anyhow::Result<Vec<String>> {
        let authority = recorded::authority(record);
        let engine = self.engine().await?;
        let mut removed = remove_containers(engine, record).await?;
        removed.extend(recorded::remove_recorded_entries(env, record, authority).await?);
        if record.kind()?.made_network && remove_network(engine).await? {
            removed.push(format!("network `{NETWORK}`"));
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_by(said: &str) -> String {
        let kind = KindState { node_image: Some("kindest/node:v9".into()), ..KindState::default() };
        let error = anyhow::Error::new(Failure { said: said.to_owned() }).context("`kind` failed");
        format!("{:#}", text_of(error, &kind))
    }

    #[test]
    fn what_kind_says_becomes_one_cause() {
        let pull = words_by(
            "Creating cluster \"x\" ...\n • Ensuring node image\nERROR: failed to create cluster: failed to pull image \"kindest/node:v9\": exit status 1",
        );
        assert!(pull.starts_with("image `kindest/node:v9` cannot be pulled: ERROR: failed"), "{pull}");
        assert!(
            words_by("Bind for 127.0.0.1:80 failed: port is already allocated")
                .contains("taken in the meantime")
        );
        assert!(words_by("something else").starts_with("kind failed: something else"));
    }
}
