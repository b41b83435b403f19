//! The control plane's certificates: read from the cluster, else made.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::Api;

use super::{NAMESPACE, WEBHOOKS};
use crate::addons::Options;
use crate::addons::certificates::{Identity, Serving};
use meshy_base::error::{Advise, Exit};

/// The Secret with the issuer.
pub const ISSUER_SECRET: &str = "linkerd-identity-issuer";
/// The ConfigMap with the trust anchors.
pub const TRUST_ROOTS: &str = "linkerd-identity-trust-roots";

/// All certificates of a control plane.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Anchor and issuer.
    pub identity: Identity,
    /// Each webhook's, by its name in the manifests.
    pub webhooks: BTreeMap<&'static str, Serving>,
}

impl Credentials {
    /// Those of the cluster; what it lacks is made. Those that the user brings win over new ones, not over the cluster's.
    ///
    /// # Errors
    /// The cluster cannot be read, or the user brings others than the cluster has.
    pub async fn read_or_make(client: &Client, options: &Options) -> anyhow::Result<Self> {
        let there = identity_of(client).await?;
        let identity = match (there, &options.identity) {
            (Some(there), Some(given)) if there != *given => {
                return Err(anyhow::anyhow!("the cluster has another trust anchor or issuer than the flags name"))
                    .hint("certificates are exchanged step by step: https://linkerd.io/2/tasks/manually-rotating-control-plane-tls-credentials/")
                    .id("trust-anchor-differs")
                    .exit(Exit::Usage);
            }
            (Some(there), _) => there,
            (None, Some(given)) => given.clone(),
            (None, None) => {
                Identity::make(&options.linkerd.trust_domain).context("cannot create a trust anchor")?
            }
        };
        let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
        let mut webhooks = BTreeMap::new();
        for (name, service) in WEBHOOKS {
            let secret = secrets.get_opt(&format!("{service}-k8s-tls")).await;
            let secret = secret.with_context(|| format!("cannot look for the certificate of {service}"))?;
            let serving = match secret.as_ref().and_then(serving_of) {
                Some(serving) => serving,
                None => Serving::make(service, NAMESPACE).context("cannot create a certificate")?,
            };
            webhooks.insert(*name, serving);
        }
        Ok(Self { identity, webhooks })
    }

    /// For showing manifests: what was given, and placeholders for the rest.
    pub fn placeholder(given: Option<Identity>) -> Self {
        let identity = given.unwrap_or_else(|| {
            let Serving { certificate, key, authority } = Serving::placeholder("linkerd-identity");
            Identity { trust_anchors: authority, issuer: certificate, issuer_key: key }
        });
        let webhooks = WEBHOOKS.iter().map(|(name, service)| (*name, Serving::placeholder(service)));
        Self { identity, webhooks: webhooks.collect() }
    }
}

/// The trust anchor and issuer in the cluster, if both are there.
async fn identity_of(client: &Client) -> anyhow::Result<Option<Identity>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let issuer = secrets.get_opt(ISSUER_SECRET).await.context("cannot look for Linkerd's issuer")?;
    let roots = maps.get_opt(TRUST_ROOTS).await.context("cannot look for Linkerd's trust anchors")?;
    let (Some(issuer), Some(roots)) = (issuer, roots) else { return Ok(None) };
    let both = text(&issuer, "crt.pem").zip(text(&issuer, "key.pem"));
    let anchors = roots.data.and_then(|mut data| data.remove("ca-bundle.crt"));
    Ok(both.zip(anchors).map(|((issuer, issuer_key), trust_anchors)| Identity {
        trust_anchors,
        issuer,
        issuer_key,
    }))
}

/// A serving certificate with its authority in a TLS Secret of meshy's.
pub(crate) fn serving_of(secret: &Secret) -> Option<Serving> {
    Some(Serving {
        certificate: text(secret, "tls.crt")?,
        key: text(secret, "tls.key")?,
        authority: text(secret, "ca.crt")?,
    })
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}
