//! ingress-nginx on the node whose ports are the machine's.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use tokio::time::Instant;

use super::certificates::Serving;
use super::template::{self, Values};
use super::{Manifests, Options, endpoints, images};
use meshy_base::Report;
use meshy_kube::{Apply, Kinds, Manager, apply, stuck, wait};

/// Its namespace.
pub const NAMESPACE: &str = "ingress-nginx";
/// The controller's Deployment.
pub const CONTROLLER: &str = "ingress-nginx-controller";
const ADMISSION_SERVICE: &str = "ingress-nginx-controller-admission";
const ADMISSION_SECRET: &str = "ingress-nginx-admission";

const BASE: &[&str] = &[
    include_str!("../../../../manifests/ingress-nginx/namespace.yaml"),
    include_str!("../../../../manifests/ingress-nginx/rbac.yaml"),
    include_str!("../../../../manifests/ingress-nginx/config.yaml"),
    include_str!("../../../../manifests/ingress-nginx/controller.yaml"),
];
const WEBHOOK: &str = include_str!("../../../../manifests/ingress-nginx/webhook.yaml");

/// The objects with everything filled in.
///
/// # Errors
/// None for the manifests shipped here.
pub fn render(options: &Options, webhook: &Serving) -> anyhow::Result<Manifests> {
    let repository = images::on_registry(images::INGRESS, options.image_registry.as_deref());
    let values = Values::from([
        ("controller_image", format!("{repository}:{}", images::INGRESS_NGINX_VERSION)),
        ("certificate", webhook.certificate.clone()),
        ("key", webhook.key.clone()),
        ("authority", webhook.authority.clone()),
        ("ca_bundle", super::linkerd::base64(&webhook.authority)),
    ]);
    let mut all = Manifests::default();
    for text in BASE {
        all.base.extend(template::objects(text, &values)?);
    }
    all.webhooks = template::objects(WEBHOOK, &values)?;
    Ok(all)
}

/// Applies, waits until the controller is ready, and only then lets its webhook be called for Ingresses.
///
/// # Errors
/// A refusal of the API server, or what the controller lacks at the deadline.
pub async fn install(
    kinds: &Kinds,
    options: &Options,
    report: &Report,
    deadline: Instant,
) -> anyhow::Result<String> {
    let webhook = serving(kinds).await?;
    let manifests = render(options, &webhook)?;
    let step = report.step("Installing", "ingress-nginx");
    let apply = Apply::new(kinds, Manager::Manifests, deadline).mark(true);
    let work = async {
        let mut applied = apply.run(manifests.base).await?;
        let objects: Vec<_> = applied.iter().map(|a| a.object.clone()).collect();
        stuck::replace(kinds, &applied).await?;
        wait::ready(kinds, &objects, deadline, Some(&step)).await?;
        endpoints::ready(kinds.client(), NAMESPACE, ADMISSION_SERVICE, deadline).await?;
        applied.extend(apply.run(manifests.webhooks).await?);
        anyhow::Ok(apply::summary(&applied))
    };
    let installed = work.await;
    step.ended(installed, String::clone).context("ingress-nginx is not installed")
}

/// The webhook's certificate that the cluster has, else a new one.
async fn serving(kinds: &Kinds) -> anyhow::Result<Serving> {
    let secrets: Api<Secret> = Api::namespaced(kinds.client().clone(), NAMESPACE);
    let there =
        secrets.get_opt(ADMISSION_SECRET).await.context("cannot look for ingress-nginx's certificate")?;
    match there.as_ref().and_then(super::linkerd::identity::serving_of) {
        Some(serving) => Ok(serving),
        None => Serving::make(ADMISSION_SERVICE, NAMESPACE),
    }
}
