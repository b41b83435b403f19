//! What is put on a cluster next to the test services: an ingress controller and a mesh.
//!
//! ```text
//! install_all ─┬─ ingress_nginx  objects → apply → wait → webhook
//!              └─ linkerd        existing? → certificates → objects → apply → wait → webhooks → proof
//! template     YAML + values → objects       certificates   rcgen, read back from the cluster the second time
//! ```
//!
//! Both are rendered by pure functions from the YAML under `manifests/ingress-nginx` and `linkerd`, so that tests
//! check the objects without a cluster, and installed at the same time.

use anyhow::Context as _;
use kube::Client;
use meshy_kube::failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use meshy_base::Report;
use meshy_base::error::{self, Advise as _};
use meshy_kube::{Kinds, Object, manifest, wait};

pub mod certificates;
mod choice;
pub mod endpoints;
pub mod expiry;
pub mod images;
pub mod ingress_nginx;
pub mod linkerd;
mod request;
mod resolve;
mod template;

pub use choice::Choice;
pub use request::Request;

/// Which ingress controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ingress {
    /// ingress-nginx 1.15.1.
    #[default]
    Nginx,
    /// None.
    None,
}

/// Which mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mesh {
    /// Linkerd.
    #[default]
    Linkerd,
    /// None.
    None,
}

/// What to install, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The ingress controller.
    pub ingress: Ingress,
    /// The mesh.
    pub mesh: Mesh,
    /// A registry that has all images, instead of the default ones: `localhost:5000`.
    pub image_registry: Option<String>,
    /// Linkerd's settings.
    pub linkerd: linkerd::Settings,
    /// The output of an official `linkerd install`, to be applied instead of the manifests here.
    pub linkerd_manifest: Option<Vec<Object>>,
    /// Trust anchor and issuer that the user brings.
    pub identity: Option<certificates::Identity>,
}

/// What was installed, for the run's summary.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Installed {
    /// The result for the ingress controller; none if it was not requested.
    pub ingress: Option<String>,
    /// The result for the mesh; none if it was not requested.
    pub mesh: Option<String>,
}

/// Installs what the options ask for, the ingress controller and the mesh at the same time, and proves that it works.
///
/// # Errors
/// The first part that fails: a refusal of the API server, what a workload still lacks at the deadline, or a webhook that
/// the API server does not reach.
pub async fn install_all(
    client: &Client,
    options: &Options,
    report: &Report,
    deadline: Instant,
) -> anyhow::Result<Installed> {
    let kinds = Kinds::new(client.clone());
    let ingress = async {
        match options.ingress {
            Ingress::None => Ok(None),
            Ingress::Nginx => ingress_nginx::install(&kinds, options, report, deadline).await.map(Some),
        }
    };
    let mesh = async {
        match options.mesh {
            Mesh::None => Ok(None),
            Mesh::Linkerd => linkerd::install(&kinds, options, report, deadline).await.map(Some),
        }
    };
    // Both run to their end, so that one that cannot start does not hide what the other one lacks.
    let (ingress, mesh) = futures::join!(ingress, mesh);
    let failure = match (ingress, mesh) {
        (Ok(ingress), Ok(mesh)) => return Ok(Installed { ingress, mesh }),
        (Err(first), Err(second)) => {
            first.context(also_failed(&second)).context("the add-ons are not installed")
        }
        (Err(error), _) | (_, Err(error)) => error,
    };
    if error::id_of(&failure) != Some(wait::IMAGE_UNAVAILABLE) {
        return Err(failure);
    }
    Err(failure).hint(what_to_bring(options))
}

/// The second failure in words, whose own first words are that Linkerd is not installed.
fn also_failed(second: &anyhow::Error) -> String {
    format!("at the same time: {}", failure::plain(second))
}

/// Which images the nodes need, and the way that needs no internet on them.
fn what_to_bring(options: &Options) -> String {
    let images = images::needed(options);
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let origins: Vec<&str> = images.iter().map(|image| image.origin.as_str()).collect();
    match &options.image_registry {
        Some(_) => format!(
            "the nodes need {}; `meshy push` copies {} into the registry",
            names.join(", "),
            origins.join(", ")
        ),
        None => format!(
            "the nodes need {}; without internet: `meshy push IMAGE` for each, then `meshy up --image-registry localhost:PORT` \
             with the port that `meshy status` shows",
            names.join(", ")
        ),
    }
}

/// All objects that [`install_all`] would apply, in order, for `up --print`. Certificates are those of the options; without
/// them placeholders stand where private keys would, since nothing secret is printed that was not given.
///
/// # Errors
/// None for the manifests shipped here.
pub fn rendered(options: &Options) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    if options.ingress == Ingress::Nginx {
        let pair = certificates::Serving::placeholder("ingress-nginx");
        objects.extend(ingress_nginx::render(options, &pair)?.into_all());
    }
    if options.mesh == Mesh::Linkerd {
        objects.extend(match &options.linkerd_manifest {
            Some(given) => given.clone(),
            None => {
                let credentials = linkerd::identity::Credentials::placeholder(options.identity.clone());
                linkerd::render(options, &credentials).context("cannot render Linkerd")?.into_all()
            }
        });
    }
    Ok(objects)
}

/// What of rendered objects can be shown and applied by others: the Secrets whose keys were not given, and what would trust
/// them, are left out, since a placeholder would be taken for a certificate; `up` makes what is absent. Gives also what was
/// left out.
pub fn printable(objects: Vec<Object>) -> (Vec<Object>, Vec<String>) {
    let (mut shown, mut left_out) = (Vec::new(), Vec::new());
    for mut object in objects {
        let hooks = object.data.get_mut("webhooks").and_then(Value::as_array_mut);
        for config in hooks.into_iter().flatten().filter_map(|hook| hook.get_mut("clientConfig")) {
            let bundle = config["caBundle"].as_str().unwrap_or_default();
            if linkerd::of_base64(bundle).is_some_and(|text| certificates::is_placeholder(&text))
                && let Some(config) = config.as_object_mut()
            {
                config.remove("caBundle");
            }
        }
        let texts = ["data", "stringData"].into_iter().filter_map(|key| object.data[key].as_object());
        let hollow = texts.flat_map(|map| map.values()).filter_map(|value| value.as_str()).any(|text| {
            certificates::is_placeholder(text)
                || linkerd::of_base64(text).is_some_and(|text| certificates::is_placeholder(&text))
        });
        if hollow {
            left_out.push(manifest::describe(&object));
        } else {
            shown.push(object);
        }
    }
    (shown, left_out)
}

/// Objects in two parts: what can be applied at once, and the webhooks, which wait for their endpoints.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Applied at once, by rank.
    pub base: Vec<Object>,
    /// Applied when the programs behind them are ready.
    pub webhooks: Vec<Object>,
}

impl Manifests {
    /// Parts objects that come in one list.
    pub fn part(objects: Vec<Object>) -> Self {
        let is_webhook = |o: &Object| manifest::kind(o).ends_with("WebhookConfiguration");
        let (webhooks, base) = objects.into_iter().partition(is_webhook);
        Self { base, webhooks }
    }

    /// All of them, webhooks last.
    pub fn into_all(self) -> Vec<Object> {
        self.base.into_iter().chain(self.webhooks).collect()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::also_failed;

    #[test]
    fn a_second_failure_is_named_once() {
        let second = Err::<(), _>(anyhow!("timed out")).context("Linkerd is not installed").unwrap_err();
        assert_eq!(also_failed(&second), "at the same time: Linkerd is not installed: timed out");
    }
}
