//! `meshy export prometheus`: how a Prometheus on this machine scrapes the proxies of the lab.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_base::private;
use meshy_lab::cluster;

/// The files that the configuration names, relative to it.
const CONFIGURATION: &str = "prometheus.yml";
const AUTHORITY: &str = "ca.crt";
const TOKEN: &str = "token";

/// The flags of `meshy export prometheus`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy export prometheus\n  meshy export prometheus ./prometheus")]
pub struct Args {
    /// Write the configuration, the certificate authority and the token below this folder
    folder: Option<PathBuf>,
}

/// Prints the configuration, or writes it with the files that it names.
///
/// # Errors
/// There is no lab, its user has no token, or a file cannot be written.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let lab = cluster::lab(context)?;
    let endpoint = context.endpoint_of(&lab).await?;
    let text = configuration(&endpoint.address);
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
    let start = format!("prometheus --config.file={}", folder.join(CONFIGURATION).display());
    context.data(&files.map(|(name, _)| folder.join(name)), |_| start)?;
    Ok(Exit::Done)
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = folder.join(name);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    private::replace(&file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the configuration: pods are found by the API server, and their proxies scraped through it, since pods of a lab have
/// addresses that this machine does not reach.
fn configuration(address: &str) -> String {
    format!(
        r#"# `meshy export prometheus FOLDER` writes this file with {AUTHORITY} and {TOKEN}, which are the lab's credentials.
global:
  scrape_interval: 5s
scrape_configs:
  - job_name: linkerd-proxy
    scheme: https
    authorization: {{ credentials_file: {TOKEN} }}
    tls_config: {{ ca_file: {AUTHORITY} }}
    kubernetes_sd_configs:
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
      - action: labelmap
        regex: __meta_kubernetes_pod_label_linkerd_io_proxy_(.+)
"#
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configuration_is_yaml_and_scrapes_through_the_api_server() {
        let text = super::configuration("127.0.0.1:6443");
        let document: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
        let job = &document["scrape_configs"][0];
        assert_eq!(job["kubernetes_sd_configs"][0]["api_server"], "https://127.0.0.1:6443");
        assert_eq!(job["relabel_configs"][2]["replacement"], "127.0.0.1:6443");
    }
}
