//! Overlays, topologies and manifests in a lab's cluster, with the port of the registry and the digest of the image put in.

mod bundle;
pub mod images;
pub mod stub;
pub mod topology;

use kube::Client;
use meshy_base::error::Advise;
use meshy_kube::{Apply, Kinds, Manager, Object, apply, manifest, stuck, wait};
use serde::Serialize;

pub use self::bundle::Bundle;
use crate::cluster;
use crate::lab::{Env, Record};
use crate::overlay;

/// How bundles are deployed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The private registry's port, in place of the one that manifests name.
    pub registry_port: Option<u16>,
    /// The test service's image, in place of the one that manifests name.
    pub image: Option<String>,
    /// The ingress's port on this machine, for URLs.
    pub http_port: Option<u16>,
    /// Take over fields that other tools own.
    pub force: bool,
    /// Do not wait until all is ready.
    pub no_wait: bool,
}

impl Options {
    /// What a lab's record has.
    pub fn of(lab: &Record) -> Self {
        let image = lab.image.clone();
        Self {
            registry_port: lab.registry_port(),
            image,
            http_port: cluster::ingress_port(lab),
            ..Self::default()
        }
    }
}

/// What a deployed bundle became.
#[derive(Clone, Debug, Serialize)]
pub struct Deployed {
    /// The bundle: an overlay, a topology, a file or a folder.
    pub name: String,
    /// Its objects.
    pub objects: Vec<String>,
    /// How many of them changed.
    pub changed: usize,
    /// Fields that stayed with another of meshy's field managers.
    pub left_out: Vec<String>,
    /// Where its ingress hosts are reached, as commands.
    pub urls: Vec<String>,
}

/// Applies overlays and waits for them, all at the same time.
///
/// # Errors
/// Returns an error if an overlay does not build, a field belongs to another tool, or something does not become ready.
pub async fn overlays(
    env: &Env,
    client: &Client,
    names: &[String],
    options: &Options,
) -> anyhow::Result<Vec<Deployed>> {
    let bundles = names.iter().map(|name| Bundle::overlay(name)).collect::<anyhow::Result<_>>()?;
    deploy(env, client, bundles, options).await
}

/// Applies bundles and waits for them, all at the same time.
///
/// # Errors
/// Returns an error if a field belongs to another tool, or something does not become ready.
pub async fn deploy(
    env: &Env,
    client: &Client,
    bundles: Vec<Bundle>,
    options: &Options,
) -> anyhow::Result<Vec<Deployed>> {
    let kinds = Kinds::new(client.clone());
    let each = bundles.into_iter().map(|bundle| one(env, &kinds, bundle, options));
    futures::future::try_join_all(each).await
}

async fn one(env: &Env, kinds: &Kinds, bundle: Bundle, options: &Options) -> anyhow::Result<Deployed> {
    bundle.warnings.iter().for_each(|warning| env.report.warn(warning));
    let Bundle { name, mut objects, .. } = bundle;
    overlay::set_images(&mut objects, options.registry_port, options.image.as_deref());
    let step = env.report.step("Deploying", &name);
    let urls = objects.iter().flat_map(|o| urls(o, options.http_port)).collect();
    let apply = Apply::new(kinds, Manager::Manifests, env.deadline);
    let apply = apply.force(options.force).mark(true).dry_run(env.dry_run);
    let applied = match apply.run(objects).await {
        Ok(applied) => applied,
        Err(error) => {
            step.failed();
            return Err(error);
        }
    };
    for line in apply::left_out(&applied) {
        env.report.say(line);
    }
    let objects: Vec<Object> = applied.iter().map(|a| a.object.clone()).collect();
    if !env.dry_run && !options.no_wait {
        let ready = async {
            stuck::replace(kinds, &applied).await?;
            wait::ready(kinds, &objects, env.deadline, Some(&step)).await
        };
        let ready = cluster::reach::while_running(env, ready).await;
        if let Err(error) = ready {
            step.failed();
            return Err(error).hint(format!("`meshy status{}` shows the rest", env.name_flag()));
        }
    }
    step.done(apply::summary(&applied));
    Ok(Deployed {
        name,
        objects: objects.iter().map(manifest::describe).collect(),
        changed: applied.iter().filter(|a| a.changed).count(),
        left_out: apply::left_out(&applied),
        urls,
    })
}

/// How an Ingress's hosts are reached from this machine; their names are in no DNS.
fn urls(object: &Object, http_port: Option<u16>) -> Vec<String> {
    let (true, Some(port)) = (manifest::kind(object) == "Ingress", http_port) else { return Vec::new() };
    let rules = object.data["spec"]["rules"].as_array();
    let hosts = rules.into_iter().flatten().filter_map(|r| r["host"].as_str());
    hosts.map(|host| url(host, port)).collect()
}

/// How one host is reached.
pub fn url(host: &str, port: u16) -> String {
    let at = if port == 80 { "http://127.0.0.1/".to_owned() } else { format!("http://127.0.0.1:{port}/") };
    format!("curl -H 'Host: {host}' {at}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addons::{Choice, Ingress};
    use crate::lab::{ClusterState, EmbeddedState, KindState, Provider};

    #[test]
    fn a_lab_without_an_ingress_controller_has_no_urls() {
        let lab = |provider, ingress| {
            let addons = Some(Choice { ingress, ..Choice::default() });
            let name = "a".parse().unwrap();
            let http_port = Some(8080);
            let cluster = match provider {
                Provider::Kind => ClusterState::Kind(KindState { http_port, ..KindState::default() }),
                _ => ClusterState::Embedded(EmbeddedState { http_port, ..EmbeddedState::default() }),
            };
            Record { cluster, addons, ..Record::new(&name, provider, "c".to_owned()) }
        };
        let port = |provider, ingress| Options::of(&lab(provider, ingress)).http_port;
        assert_eq!(port(Provider::Kind, Ingress::Nginx), Some(8080));
        assert_eq!(port(Provider::Kind, Ingress::None), None, "nothing listens behind the port");
        assert_eq!(
            port(Provider::Embedded, Ingress::None),
            Some(8080),
            "the embedded cluster has one built in"
        );
    }
}
