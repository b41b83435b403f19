//! `meshy export prometheus`: how a Prometheus on this machine scrapes the proxies of the lab.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_base::private;
use meshy_lab::cluster;
use meshy_lab::lab::Record;
use meshy_metrics::Pod;

/// The files that the configuration names, relative to it.
const CONFIGURATION: &str = "prometheus.yml";
const AUTHORITY: &str = "ca.crt";
const TOKEN: &str = "token";

/// The flags of `meshy export prometheus`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy export prometheus\n  meshy export prometheus ./prometheus")]
pub(super) struct Args {
    /// Write the configuration, the certificate authority and the token below this folder
    folder: Option<PathBuf>,
    /// Let Prometheus find the pods; Debian's package of Prometheus cannot do this
    #[arg(long)]
    discover: bool,
}

/// Prints the configuration, or writes it with the files that it names.
///
/// # Errors
/// There is no lab, no pod in it has a proxy, its user has no token, or a file cannot be written.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let lab = cluster::lab(context)?;
    let endpoint = context.endpoint_of(&lab).await?;
    let pods = if args.discover { None } else { Some(meshed(context, &lab).await?) };
    let text = configuration(&endpoint.address, pods.as_deref());
    let Some(folder) = args.folder else {
        crate::ui::data(&text)?;
        return Ok(Exit::Done);
    };
    let token = endpoint.token.ok_or_else(|| anyhow!("the user of context `{}` has no token", lab.context));
    let hint = "an embedded lab has one; on other clusters Prometheus runs in the cluster, as in Linkerd viz";
    let token = token.hint(hint).exit(Exit::Prerequisite)?;
    let files = [(CONFIGURATION, &text), (AUTHORITY, &endpoint.authority), (TOKEN, &token)];
    if context.dry_run {
        context.report.say(format!("would write {} files below {}", files.len(), folder.display()));
        return Ok(Exit::Done);
    }
    files.iter().try_for_each(|(name, text)| write(&folder, name, text))?;
    // By default it listens on all interfaces.
    let start = format!(
        "prometheus --config.file={} --web.listen-address=127.0.0.1:9090",
        folder.join(CONFIGURATION).display()
    );
    context.data(&files.map(|(name, _)| folder.join(name)), |_| start)?;
    Ok(Exit::Done)
}

/// Returns the pods of a lab that have a proxy.
async fn meshed(context: &Context, lab: &Record) -> anyhow::Result<Vec<Pod>> {
    let mut pods = meshy_metrics::pods::list(&context.client_of(lab).await?, None).await?;
    pods.retain(Pod::scrapable);
    if pods.is_empty() {
        return Err(anyhow!("no running pod has a proxy"))
            .hint("`meshy inject` adds proxies to workloads; with `--discover` Prometheus finds them later")
            .exit(Exit::Prerequisite);
    }
    Ok(pods)
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = folder.join(name);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    private::replace(&file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the configuration. The proxies are scraped through the API server, since pods of a lab have addresses that this machine does
/// not reach. `pods` are the ones to scrape; without them Prometheus finds them.
fn configuration(address: &str, pods: Option<&[Pod]>) -> String {
    let found = pods.map_or_else(|| discovered(address), |pods| listed(address, pods));
    format!(
        r"# `meshy export prometheus FOLDER` writes this file with {AUTHORITY} and {TOKEN}, which are the lab's credentials.
global:
  scrape_interval: 5s
scrape_configs:
  - job_name: linkerd-proxy
    scheme: https
    authorization: {{ credentials_file: {TOKEN} }}
    tls_config: {{ ca_file: {AUTHORITY} }}
{found}"
    )
}

/// The pods of now, one target for each.
fn listed(address: &str, pods: &[Pod]) -> String {
    let target = |pod: &Pod| {
        let Pod { namespace, name, .. } = pod;
        format!(
            r#"      - targets: ["{address}"]
        labels:
          __metrics_path__: /api/v1/namespaces/{namespace}/pods/{name}:4191/proxy/metrics
          namespace: "{namespace}"
          pod: "{name}"
          instance: "{name}"
"#
        )
    };
    let targets: String = pods.iter().map(target).collect();
    format!("    static_configs:\n{targets}")
}

/// The pods that run at the time of each scrape.
fn discovered(address: &str) -> String {
    format!(
        r"    kubernetes_sd_configs:
      - role: pod
        api_server: https://{address}
        authorization: {{ credentials_file: {TOKEN} }}
        tls_config: {{ ca_file: {AUTHORITY} }}
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_container_name, __meta_kubernetes_pod_container_port_name]
        action: keep
        regex: linkerd-proxy;linkerd-admin
      - source_labels: [__meta_kubernetes_namespace, __meta_kubernetes_pod_name]
        target_label: __metrics_path__
        regex: (.+);(.+)
        replacement: /api/v1/namespaces/$1/pods/$2:4191/proxy/metrics
      - target_label: __address__
        replacement: {address}
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: instance
"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn job(text: &str) -> Value {
        let document: Value = serde_yaml::from_str(text).expect("YAML");
        document["scrape_configs"][0].clone()
    }

    #[test]
    fn the_configuration_is_yaml_and_scrapes_through_the_api_server() {
        let pod = Pod::example("shop", "web-1");
        let target = job(&configuration("127.0.0.1:6443", Some(&[pod])))["static_configs"][0].clone();
        assert_eq!(target["targets"][0], "127.0.0.1:6443");
        assert_eq!(
            target["labels"]["__metrics_path__"],
            "/api/v1/namespaces/shop/pods/web-1:4191/proxy/metrics"
        );
        let job = job(&configuration("127.0.0.1:6443", None));
        assert_eq!(job["kubernetes_sd_configs"][0]["api_server"], "https://127.0.0.1:6443");
        assert_eq!(job["relabel_configs"][2]["replacement"], "127.0.0.1:6443");
    }
}
