//! `meshy certs`: the certificates and how long they hold.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use serde::Serialize;

use crate::addons::certificates;
use crate::addons::ingress_nginx;
use crate::addons::linkerd::{NAMESPACE, WEBHOOKS, identity};
use crate::context::Context;
use crate::error::Exit;
use crate::mesh::checks::{self, WARN_DAYS};

/// `meshy certs` takes no flags of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy certs\n  meshy certs -o json")]
pub struct Args {}

#[derive(Debug, Serialize)]
struct Certificate {
    what: String,
    place: String,
    subject: String,
    not_after: String,
    days_left: i64,
}

/// Prints each certificate with its end.
///
/// # Errors
/// The cluster cannot be asked, or a certificate cannot be read.
pub async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let mut found = Vec::new();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let roots = maps.get_opt(identity::TRUST_ROOTS).await.context("cannot read the trust anchors")?;
    if let Some(pem) = roots.and_then(|m| m.data).and_then(|mut d| d.remove("ca-bundle.crt")) {
        found.extend(describe(
            "trust anchor",
            format!("configmap {NAMESPACE}/{}", identity::TRUST_ROOTS),
            &pem,
        )?);
    }
    let mut secrets = vec![("issuer".to_owned(), NAMESPACE, identity::ISSUER_SECRET.to_owned(), "crt.pem")];
    for (_, service) in WEBHOOKS {
        secrets.push((format!("webhook {service}"), NAMESPACE, format!("{service}-k8s-tls"), "tls.crt"));
    }
    let admission = "ingress-nginx-admission".to_owned();
    secrets.push(("webhook ingress-nginx".to_owned(), ingress_nginx::NAMESPACE, admission, "tls.crt"));
    for (what, namespace, name, key) in secrets {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let data = api
            .get_opt(&name)
            .await
            .with_context(|| format!("cannot read secret {name}"))?
            .and_then(|s| s.data);
        let Some(pem) = data.and_then(|d| d.get(key).map(|v| String::from_utf8_lossy(&v.0).into_owned()))
        else {
            continue;
        };
        found.extend(describe(&what, format!("secret {namespace}/{name}"), &pem)?);
    }
    if found.is_empty() {
        let why = if checks::built_in(&client).await {
            "the control plane is built into this cluster"
        } else {
            "no Linkerd here"
        };
        context.report.say(format!("there are no certificates: {why}"));
    }
    for soon in found.iter().filter(|c| c.days_left < WARN_DAYS) {
        let word = if soon.days_left < 0 { "is expired" } else { "ends soon" };
        context.report.warn(format!("the {} {word} ({} days left)", soon.what, soon.days_left));
    }
    context.data(&found, |found| {
        let width = found.iter().map(|c| c.what.len()).max().unwrap_or(0);
        let line = |c: &Certificate| {
            format!(
                "{:width$}  {:>4} days  until {}  {}  ({})\n",
                c.what, c.days_left, c.not_after, c.subject, c.place
            )
        };
        found.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
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
