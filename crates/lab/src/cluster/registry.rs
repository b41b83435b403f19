//! The private registry: a container on a loopback port, joined to the nodes' network.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, NetworkConnectRequest,
    NetworkDisconnectRequest, PortBinding, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions, StopContainerOptionsBuilder,
};
use futures::TryStreamExt as _;
use tokio::time::{Instant, sleep};

use super::engine::{Engine, is_connection_lost, there};
use super::{nodes, ports};
use crate::image::registry::Client;
use crate::lab::{KindState, Record};
use meshy_base::error::{self, Advise, Exit};
use meshy_kube::{MANAGED_BY, MESHY};

/// The label that names the lab of a container or volume.
const LAB: &str = "meshy.lab";

/// Where the registry listens inside its container, and outside if that is free (the port of the original demo).
const PORT: u16 = 5000;

/// The registry container's name; also the host name by which nodes know it, and its volume's name.
pub(super) fn name(lab: &str) -> String {
    if lab == "meshy" { "private-registry".to_owned() } else { format!("private-registry-{lab}") }
}

/// The port that a lab's registry has or should get.
///
/// # Errors
/// A container of that name is there and not this lab's; no port is free.
pub(super) async fn plan(engine: &Engine, lab: &str) -> anyhow::Result<u16> {
    if let Some(port) = find(engine, lab).await?.as_ref().and_then(mapped_port) {
        return Ok(port);
    }
    let mapped = nodes::mapped_ports(engine, &name(lab)).await?;
    ports::one(PORT, ports::test(mapped))
}

/// The lab's registry container, if there is one.
///
/// # Errors
/// One is there that meshy did not create for this lab: it is never touched.
async fn find(engine: &Engine, lab: &str) -> anyhow::Result<Option<ContainerInspectResponse>> {
    let name = name(lab);
    let found = there(engine.docker.inspect_container(&name, None).await);
    let Some(found) = found.with_context(|| format!("cannot look at container `{name}`"))? else {
        return Ok(None);
    };
    let label = found.config.as_ref().and_then(|c| c.labels.as_ref()?.get(LAB));
    if label.map(String::as_str) != Some(lab) {
        return Err(anyhow!("container `{name}` exists and was not created by meshy for lab `{lab}`"))
            .hint(format!("rename it (`docker rename {name} …`), or use another lab name with `--name`"))
            .id("registry-foreign")
            .exit(Exit::Prerequisite);
    }
    Ok(Some(found))
}

fn mapped_port(container: &ContainerInspectResponse) -> Option<u16> {
    let bindings = container.host_config.as_ref()?.port_bindings.as_ref()?;
    bindings.get(&format!("{PORT}/tcp"))?.as_ref()?.first()?.host_port.as_ref()?.parse().ok()
}

/// Makes and starts the registry unless it runs; gives its port and what was done.
///
/// # Errors
/// The image cannot be pulled, the name is taken by a foreign container, or the registry does not respond.
pub(super) async fn ensure(
    engine: &Engine,
    record: &Record,
    deadline: Instant,
) -> anyhow::Result<(u16, String)> {
    let name = name(&record.name);
    let kind = record.kind()?;
    let wanted = record.registry_port().unwrap_or(PORT);
    let mut found = find(engine, &record.name).await?;
    if let Some(there) = &found
        && mapped_port(there) != Some(wanted)
    {
        remove_container(engine, &name).await?;
        found = None;
    }
    let mut running = found.as_ref().and_then(|f| f.state.as_ref()?.running) == Some(true);
    // An engine that restarts may give it what was a node's; so it starts outside of the network, as one that was stopped.
    if running && found.as_ref().is_some_and(|f| is_in_the_way(f, kind)) {
        stop(engine, &record.name).await?;
        running = false;
    }
    let result = match (found.is_some(), running) {
        (true, true) => format!("already there, localhost:{wanted}"),
        (true, false) => format!("started, localhost:{wanted}"),
        (false, _) => format!("localhost:{wanted}"),
    };
    if found.is_none() {
        create(engine, record, &name, wanted).await?;
    }
    if !running {
        leave(engine, found.as_ref(), &name).await?;
        let started = engine.docker.start_container(&name, None).await;
        started.with_context(|| format!("cannot start container `{name}`"))?;
    }
    answers(wanted, deadline).await.with_context(|| format!("registry `{name}` does not respond"))?;
    Ok((wanted, result))
}

fn is_in_the_way(registry: &ContainerInspectResponse, kind: &KindState) -> bool {
    let networks = registry.network_settings.as_ref().and_then(|n| n.networks.as_ref());
    let address = networks.and_then(|n| n.get(nodes::NETWORK)?.ip_address.as_ref());
    address.is_some_and(|address| kind.addresses.values().any(|a| a == address))
}

/// Waits until the registry holds no address that was a node's: [`ensure`], which runs at the same time, does that.
///
/// # Errors
/// The engine's.
pub(super) async fn out_of_the_way(
    engine: &Engine,
    record: &Record,
    deadline: Instant,
) -> anyhow::Result<()> {
    let kind = record.kind()?;
    while let Some(found) = find(engine, &record.name).await?
        && is_in_the_way(&found, kind)
        && Instant::now() < deadline
    {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Takes a registry that was stopped out of the nodes' network: nodes that start next to it would lose their addresses to it. It
/// is joined again when they run.
async fn leave(engine: &Engine, found: Option<&ContainerInspectResponse>, name: &str) -> anyhow::Result<()> {
    let networks = found.and_then(|f| f.network_settings.as_ref()?.networks.as_ref());
    if !networks.is_some_and(|n| n.contains_key(nodes::NETWORK)) {
        return Ok(());
    }
    let request = NetworkDisconnectRequest { container: name.to_owned(), force: Some(true) };
    let left = engine.docker.disconnect_network(nodes::NETWORK, request).await;
    left.with_context(|| format!("cannot take container `{name}` out of network `{}`", nodes::NETWORK))
}

async fn create(engine: &Engine, record: &Record, name: &str, port: u16) -> anyhow::Result<()> {
    let image = record.kind()?.registry_image.as_deref().unwrap_or("registry:2");
    ensure_image(engine, image).await?;
    let labels =
        HashMap::from([(MANAGED_BY.to_owned(), MESHY.to_owned()), (LAB.to_owned(), record.name.to_string())]);
    let volume = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some(labels.clone()),
        ..Default::default()
    };
    engine.docker.create_volume(volume).await.with_context(|| format!("cannot create volume `{name}`"))?;
    let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
    let host = HostConfig {
        binds: Some(vec![format!("{name}:/var/lib/registry")]),
        port_bindings: Some(HashMap::from([(format!("{PORT}/tcp"), Some(vec![binding]))])),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            ..Default::default()
        }),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        labels: Some(labels),
        host_config: Some(host),
        exposed_ports: Some(vec![format!("{PORT}/tcp")]),
        ..Default::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    engine
        .docker
        .create_container(Some(options), body)
        .await
        .with_context(|| format!("cannot create container `{name}`"))?;
    Ok(())
}

/// Pulls an image unless the engine has it.
async fn ensure_image(engine: &Engine, image: &str) -> anyhow::Result<()> {
    if engine.has_image(image).await? {
        return Ok(());
    }
    let options = CreateImageOptionsBuilder::default().from_image(image).build();
    let pull: Result<Vec<_>, _> = engine.docker.create_image(Some(options), None, None).try_collect().await;
    let engines_fault = pull.as_ref().err().is_some_and(is_connection_lost);
    let pull = pull.map(drop).with_context(|| format!("image `{image}` cannot be pulled"));
    if engines_fault {
        return pull;
    }
    pull
        .hint("check the connection; `--registry-image` names another image; `docker load` loads one without internet")
        .id("image-unavailable")
        .exit(Exit::Prerequisite)
}

/// A registry that was just started takes a moment to listen.
async fn answers(port: u16, deadline: Instant) -> anyhow::Result<()> {
    let client = Client::new(format!("localhost:{port}"));
    loop {
        match client.ping().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error).exit(Exit::Timeout),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Joins the registry to the network of the nodes; without a complaint when it is in it.
///
/// # Errors
/// The engine's.
pub(super) async fn join(engine: &Engine, lab: &str, network: &str) -> anyhow::Result<()> {
    let name = name(lab);
    let there = find(engine, lab).await?.with_context(|| format!("container `{name}` is gone"))?;
    let networks = there.network_settings.and_then(|n| n.networks).unwrap_or_default();
    if networks.contains_key(network) {
        return Ok(());
    }
    let request =
        NetworkConnectRequest { container: name.clone(), endpoint_config: Some(EndpointSettings::default()) };
    let joined = engine.docker.connect_network(network, request).await;
    joined.with_context(|| format!("cannot join container `{name}` to network `{network}`"))
}

/// Writes the configuration by which the nodes know that `localhost:PORT` is the registry's container. The folder is mounted into each node.
///
/// # Errors
/// The file system's.
pub(super) fn write_hosts(certs_d: &Path, lab: &str, port: u16) -> anyhow::Result<()> {
    let folder = certs_d.join(format!("localhost:{port}"));
    let text = format!("[host.\"http://{}:{PORT}\"]\n  capabilities = [\"pull\", \"resolve\"]\n", name(lab));
    let file = folder.join("hosts.toml");
    if fs::read_to_string(&file).is_ok_and(|t| t == text) {
        return Ok(());
    }
    let write = || {
        fs::create_dir_all(&folder)?;
        fs::write(&file, text)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// The registry's state in words, and whether it runs; none when there is none of this lab.
pub(super) async fn state(engine: &Engine, lab: &str) -> anyhow::Result<Option<(bool, String)>> {
    let Some(found) = find(engine, lab).await? else { return Ok(None) };
    let running = found.state.as_ref().and_then(|s| s.running) == Some(true);
    Ok(Some((running, if running { "running".to_owned() } else { "stopped".to_owned() })))
}

/// Stops the registry and keeps it.
///
/// # Errors
/// The engine's.
pub(super) async fn stop(engine: &Engine, lab: &str) -> anyhow::Result<()> {
    if find(engine, lab).await?.is_none() {
        return Ok(());
    }
    let options = StopContainerOptionsBuilder::default().t(2).build();
    engine.docker.stop_container(&name(lab), Some(options)).await.context("cannot stop the registry")
}

/// Removes the registry with its volume; gives what was there.
///
/// # Errors
/// The engine's. A foreign container of that name is not an error here: it is left alone.
pub(super) async fn remove(engine: &Engine, lab: &str) -> anyhow::Result<Vec<String>> {
    let name = name(lab);
    let mut removed = Vec::new();
    match find(engine, lab).await {
        Ok(None) => {}
        Err(error) if error::id_of(&error) == Some("registry-foreign") => {}
        Ok(Some(_)) => {
            remove_container(engine, &name).await?;
            removed.push(format!("container `{name}`"));
        }
        Err(error) => return Err(error),
    }
    let volume = there(engine.docker.inspect_volume(&name).await);
    let volume = volume.with_context(|| format!("cannot look at volume `{name}`"))?;
    if volume.is_some_and(|volume| volume.labels.get(LAB).map(String::as_str) == Some(lab)) {
        let gone = engine.docker.remove_volume(&name, None::<RemoveVolumeOptions>).await;
        gone.with_context(|| format!("cannot remove volume `{name}`"))?;
        removed.push(format!("volume `{name}`"));
    }
    Ok(removed)
}

async fn remove_container(engine: &Engine, name: &str) -> anyhow::Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let removed = engine.docker.remove_container(name, Some(options)).await;
    removed.with_context(|| format!("cannot remove container `{name}`"))
}
