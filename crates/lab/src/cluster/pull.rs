//! The proof that nodes get images from the private registry: each pulls one by itself, as its kubelet would.

use anyhow::{Context as _, anyhow};
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures::TryStreamExt as _;
use futures::future::try_join_all;

use super::engine::Engine;
use super::nodes::Node;
use meshy_base::error::Advise as _;

/// By the interface that the kubelet uses too; a node image without its client has containerd's own, which reads the same
/// folder for how to reach a registry. In a node that was just started the runtime is not up yet: it gets half a minute.
const PULL: &str = r#"left=150
until ctr version > /dev/null 2>&1 || [ "$left" = 0 ]; do left=$((left - 1)); sleep 0.2; done
if command -v crictl > /dev/null; then exec crictl pull "$1"; fi
exec ctr --namespace k8s.io images pull --hosts-dir /etc/containerd/certs.d "$1""#;

/// Has all nodes pull an image at the same time; gives a word for the report.
///
/// # Errors
/// A node cannot, with its container runtime's words.
pub(super) async fn on_all(engine: &Engine, nodes: &[Node], image: &str) -> anyhow::Result<((), String)> {
    try_join_all(nodes.iter().map(|node| on(engine, &node.name, image))).await?;
    Ok(((), "from the private registry".to_owned()))
}

async fn on(engine: &Engine, node: &str, image: &str) -> anyhow::Result<()> {
    let cannot = || format!("node `{node}` cannot pull `{image}`");
    let options = CreateExecOptions {
        cmd: Some(["sh", "-c", PULL, "pull", image].map(str::to_owned).to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let run = engine.docker.create_exec(node, options).await.with_context(cannot)?;
    let started = engine.docker.start_exec(&run.id, None::<StartExecOptions>).await.with_context(cannot)?;
    let mut said = String::new();
    if let StartExecResults::Attached { output, .. } = started {
        let lines: Vec<_> = output.try_collect().await.with_context(cannot)?;
        said = lines.iter().map(ToString::to_string).collect();
    }
    let end = engine.docker.inspect_exec(&run.id).await.with_context(cannot)?;
    if end.exit_code == Some(0) {
        return Ok(());
    }
    Err(anyhow!("{}", said.trim().lines().last().unwrap_or("it ended without output")))
        .with_context(cannot)
        .hint("`meshy status` shows the registry; a node image of kind 0.27 or newer reads how to reach it")
}
