//! Linkerd's control plane.

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::Value;
use sha2::Digest as _;
use tokio::time::Instant;

use self::existing::Found;
use self::identity::Credentials;
use super::template::{self, Values};
use super::{Manifests, Options, endpoints, images};
use meshy_base::{Report, Step};
use meshy_kube::{Apply, Kinds, Manager, Object, apply, manifest, stuck, wait};

pub mod existing;
pub mod gateway;
pub mod identity;
pub mod proof;
mod proxy;

/// The control plane's namespace; its programs' certificates name it.
pub const NAMESPACE: &str = meshy_linkerd::names::CONTROL_PLANE_NAMESPACE;

/// The log level of the proxies where no other one is chosen: Linkerd's own default.
pub const PROXY_LOG: &str = "warn,linkerd=info,hickory=error";

/// The Services that the API server calls, with the name that their certificates' values have in the manifests.
pub const WEBHOOKS: &[(&str, &str)] = &[
    ("proxy_injector", "linkerd-proxy-injector"),
    ("sp_validator", "linkerd-sp-validator"),
    ("policy_validator", "linkerd-policy-validator"),
];

/// What can be chosen about the control plane.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tag of its images.
    pub version: String,
    /// The log level of the proxies without an annotation.
    pub proxy_log: String,
    /// The suffix of every identity.
    pub trust_domain: String,
    /// Networks that belong to the cluster, comma-separated.
    pub cluster_networks: String,
    /// The annotation `linkerd.io/created-by`.
    pub created_by: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: images::LINKERD_VERSION.to_owned(),
            proxy_log: PROXY_LOG.to_owned(),
            trust_domain: meshy_linkerd::names::CLUSTER_DOMAIN.to_owned(),
            // The private networks: pods and services of every usual cluster are among them.
            cluster_networks: "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8".to_owned(),
            created_by: format!("meshy/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

const NAMESPACE_YAML: &str = include_str!("../../../../linkerd/namespace.yaml");
const CRDS: &[&str] = &[
    include_str!("../../../../linkerd/crds/service-profiles.yaml"),
    include_str!("../../../../linkerd/crds/policy.yaml"),
    include_str!("../../../../linkerd/crds/external-workloads.yaml"),
];
const CONFIG: &str = include_str!("../../../../linkerd/config.yaml");
const CONFIG_VALUES: &str = include_str!("../../../../linkerd/config-values.yaml");
const COMPONENTS: &[&str] = &[
    include_str!("../../../../linkerd/identity.yaml"),
    include_str!("../../../../linkerd/destination.yaml"),
    include_str!("../../../../linkerd/proxy-injector.yaml"),
];
const WEBHOOKS_YAML: &str = include_str!("../../../../linkerd/webhooks.yaml");

/// The objects with everything filled in, Gateway API's definitions among them.
///
/// # Errors
/// None for the manifests shipped here.
pub fn render(options: &Options, credentials: &Credentials) -> anyhow::Result<Manifests> {
    let values = values(options, credentials)?;
    let mut all = Manifests { base: template::objects(NAMESPACE_YAML, &values)?, webhooks: Vec::new() };
    for text in CRDS.iter().chain(gateway::DEFINITIONS).chain([&CONFIG]) {
        all.base.extend(template::objects(text, &values)?);
    }
    for text in COMPONENTS {
        let mut objects = template::objects(text, &values)?;
        for object in objects.iter_mut().filter(|o| manifest::kind(o) == "Deployment") {
            proxy::add(object, &values)
                .with_context(|| format!("cannot mesh {}", manifest::describe(object)))?;
        }
        all.base.extend(objects);
    }
    all.webhooks = template::objects(WEBHOOKS_YAML, &values)?;
    Ok(all)
}

fn values(options: &Options, credentials: &Credentials) -> anyhow::Result<Values> {
    let Settings { version, proxy_log, trust_domain, cluster_networks, created_by } = &options.linkerd;
    let on = |repository| images::on_registry(repository, options.image_registry.as_deref());
    let identity = &credentials.identity;
    let mut values = Values::from([
        ("version", version.clone()),
        ("proxy_log", proxy_log.clone()),
        ("created_by", created_by.clone()),
        ("trust_domain", trust_domain.clone()),
        ("cluster_networks", cluster_networks.clone()),
        ("controller_repository", on(images::CONTROLLER)),
        ("controller_image", format!("{}:{version}", on(images::CONTROLLER))),
        ("proxy_repository", on(images::PROXY)),
        ("proxy_image", format!("{}:{version}", on(images::PROXY))),
        ("debug_repository", on(images::DEBUG)),
        ("trust_anchors", identity.trust_anchors.clone()),
        ("trust_anchors_sha256", hash(&identity.trust_anchors)),
        ("issuer_certificate", identity.issuer.clone()),
        ("issuer_key", identity.issuer_key.clone()),
    ]);
    for (webhook, serving) in &credentials.webhooks {
        let [certificate, key, authority, bundle] = match *webhook {
            "proxy_injector" => [
                "proxy_injector_certificate",
                "proxy_injector_key",
                "proxy_injector_authority",
                "proxy_injector_ca_bundle",
            ],
            "sp_validator" => [
                "sp_validator_certificate",
                "sp_validator_key",
                "sp_validator_authority",
                "sp_validator_ca_bundle",
            ],
            _ => [
                "policy_validator_certificate",
                "policy_validator_key",
                "policy_validator_authority",
                "policy_validator_ca_bundle",
            ],
        };
        values.insert(certificate, serving.certificate.clone());
        values.insert(key, serving.key.clone());
        values.insert(authority, serving.authority.clone());
        values.insert(bundle, base64(&serving.authority));
    }
    let settings: Vec<Value> = template::fill(CONFIG_VALUES, &values)?;
    values.insert("values", serde_yaml::to_string(&settings[0]).context("cannot write Linkerd's settings")?);
    Ok(values)
}

/// Applies the control plane, waits for it, lets the API server call its webhooks and proves that it does.
///
/// A control plane that others made is taken as it is.
///
/// # Errors
/// A refusal, what a workload lacks at the deadline, Gateway API definitions of another range, a control plane that is too
/// old, or a webhook that the API server does not reach.
pub async fn install(
    kinds: &Kinds,
    options: &Options,
    report: &Report,
    deadline: Instant,
) -> anyhow::Result<String> {
    let step = report.step("Installing", format!("Linkerd {}", options.linkerd.version));
    let installed = install_quietly(kinds, options, report, deadline, &step).await;
    step.ended(installed, String::clone).context("Linkerd is not installed")
}

async fn install_quietly(
    kinds: &Kinds,
    options: &Options,
    report: &Report,
    deadline: Instant,
    step: &Step,
) -> anyhow::Result<String> {
    if let Found::Foreign { version } = existing::find(kinds.client()).await? {
        existing::acceptable(&version)?;
        report.say(format!(
            "Linkerd {version} is installed already and was not created by meshy; it is used unchanged"
        ));
        if options.linkerd.proxy_log != PROXY_LOG {
            report.warn(
                "`--proxy-log` has no effect on it; set the annotation `config.linkerd.io/proxy-log-level`",
            );
        }
        proof::webhooks_respond(kinds, deadline, step).await?;
        return Ok(format!("{version}, taken as it is"));
    }
    let gateway = gateway::find(kinds.client(), gateway::INSTALLED).await?;
    let mut manifests = match &options.linkerd_manifest {
        Some(given) => Manifests::part(given.clone()),
        None => {
            let credentials = Credentials::read_or_make(kinds.client(), options).await?;
            render(options, &credentials)?
        }
    };
    if let gateway::Definitions::Foreign(version, fit) = gateway {
        if fit == gateway::Fit::Above {
            report.warn(gateway::INSTALLED.above(&version));
        }
        report.say(format!("Gateway API {version} is installed already; its CRDs stay unchanged"));
        manifests.base.retain(|object| !gateway::is_definition(object));
    }
    let apply = Apply::new(kinds, Manager::Manifests, deadline).mark(true);
    let mut applied = apply.run(manifests.base).await?;
    let objects: Vec<Object> = applied.iter().map(|a| a.object.clone()).collect();
    stuck::replace(kinds, &applied).await?;
    wait::ready(kinds, &objects, deadline, Some(step)).await?;
    for (_, service) in WEBHOOKS {
        step.waiting(&format!("endpoint of {service}"));
        endpoints::ready(kinds.client(), NAMESPACE, service, deadline).await?;
    }
    applied.extend(apply.run(manifests.webhooks).await?);
    proof::webhooks_respond(kinds, deadline, step).await?;
    Ok(apply::summary(&applied))
}

/// Standard base64, for CA bundles.
pub(super) fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The text behind standard base64, if it is one.
pub(super) fn of_base64(text: &str) -> Option<String> {
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
}

/// What stands in `linkerd.io/trust-root-sha256`.
fn hash(text: &str) -> String {
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
