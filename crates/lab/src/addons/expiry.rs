//! The certificates that a cluster's add-ons live by, and how long each still holds.

use anyhow::Context as _;
use futures::future;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::Api;
use serde::Serialize;

use super::linkerd::{NAMESPACE, WEBHOOKS, identity};
use super::{certificates, ingress_nginx};

/// Below this many days a certificate is warned about, as Linkerd's own check does.
pub const WARN_DAYS: i64 = 60;

/// One certificate of the cluster.
#[derive(Debug, Serialize)]
pub struct Certificate {
    /// What it is for: `issuer`.
    pub what: String,
    /// The object that holds it.
    pub place: String,
    /// Its subject's common name.
    pub subject: String,
    /// Its last day.
    pub not_after: String,
    /// Whole days until then; negative when it is past.
    pub days_left: i64,
}

impl Certificate {
    /// A sentence, if it ends soon or has ended.
    pub fn warning(&self) -> Option<String> {
        let Self { what, days_left, .. } = self;
        match *days_left {
            ..0 => Some(format!("the {what} is expired (since {} days)", -days_left)),
            0..WARN_DAYS => Some(format!("the {what} ends in {days_left} days")),
            _ => None,
        }
    }
}

/// All certificates that are there: none on a cluster whose control plane is built in.
///
/// # Errors
/// The cluster cannot be read, or a certificate cannot be read.
pub async fn certificates(client: &Client) -> anyhow::Result<Vec<Certificate>> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let roots = async {
        let there = maps.get_opt(identity::TRUST_ROOTS).await.context("cannot read the trust anchors")?;
        let pem = there.and_then(|m| m.data).and_then(|mut d| d.remove("ca-bundle.crt"));
        let Some(pem) = pem else { return Ok(Vec::new()) };
        describe("trust anchor", format!("configmap {NAMESPACE}/{}", identity::TRUST_ROOTS), &pem)
    };
    let issuer = ("issuer".to_owned(), NAMESPACE, identity::ISSUER_SECRET.to_owned(), "crt.pem");
    let webhooks = WEBHOOKS.iter().map(|(_, service)| {
        (format!("webhook {service}"), NAMESPACE, format!("{service}-k8s-tls"), "tls.crt")
    });
    let admission = "ingress-nginx-admission".to_owned();
    let ingress = ("webhook ingress-nginx".to_owned(), ingress_nginx::NAMESPACE, admission, "tls.crt");
    let secrets = std::iter::once(issuer).chain(webhooks).chain([ingress]);
    let (roots, secrets) =
        future::try_join(roots, future::try_join_all(secrets.map(|of| of_secret(client, of)))).await?;
    Ok(roots.into_iter().chain(secrets.into_iter().flatten()).collect())
}

async fn of_secret(
    client: &Client,
    (what, namespace, name, key): (String, &str, String, &str),
) -> anyhow::Result<Vec<Certificate>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let there = api.get_opt(&name).await.with_context(|| format!("cannot read secret {name}"))?;
    let data = there.and_then(|secret| secret.data).unwrap_or_default();
    let Some(pem) = data.get(key) else { return Ok(Vec::new()) };
    describe(&what, format!("secret {namespace}/{name}"), &String::from_utf8_lossy(&pem.0))
}

fn describe(what: &str, place: String, pem: &str) -> anyhow::Result<Vec<Certificate>> {
    let now = std::time::SystemTime::now();
    let all =
        certificates::describe_all(pem).with_context(|| format!("cannot read the {what} in {place}"))?;
    let one = |about: certificates::About| Certificate {
        what: what.to_owned(),
        place: place.clone(),
        subject: about.subject.clone(),
        not_after: jiff::Timestamp::try_from(about.not_after)
            .map(|t| t.strftime("%Y-%m-%d").to_string())
            .unwrap_or_default(),
        days_left: about.days_left(now),
    };
    Ok(all.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_about_below_sixty_days_and_after_its_end() {
        let warning = |days_left| {
            let text = |t: &str| t.to_owned();
            let (what, place) = (text("issuer"), String::new());
            Certificate { what, place, subject: String::new(), not_after: String::new(), days_left }.warning()
        };
        assert_eq!(warning(60), None);
        assert_eq!(warning(59).as_deref(), Some("the issuer ends in 59 days"));
        assert_eq!(warning(-2).as_deref(), Some("the issuer is expired (since 2 days)"));
    }
}
