//! `meshy port-forward`: a port of this machine that leads to a pod.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal;

use crate::context::Context;
use crate::forward::find;
use meshy_base::activity::{self, Kind};
use meshy_base::error::{Advise, Exit};
use meshy_base::limit;

pub(super) use crate::forward::PodForward;

/// The flags of `meshy port-forward`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy port-forward deploy/minimal-service 9090\n  meshy port-forward svc/bounced-service 8000:9090"
)]
pub struct Args {
    /// A pod's name, `deploy/NAME` or `svc/NAME`
    target: String,
    /// The remote port, or `LOCAL:REMOTE`; local 0 takes a free one
    ports: String,
    /// The target's namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
}

#[derive(Debug, Serialize)]
struct Forward {
    address: SocketAddr,
    pod: String,
    port: u16,
}

/// Forwards until ctrl-C. Each connection goes to a pod that is ready at that moment, so a restart does not end it.
///
/// # Errors
/// There is no such target, no ready pod, or the local port is taken.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let (local, remote) = ports(&args.ports).exit(Exit::Usage)?;
    let client = context.client().await?;
    let (pod, port) = find(&client, &args.namespace, &args.target, remote).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, local)).await;
    let listener = listener
        .with_context(|| format!("cannot listen on port {local}"))
        .hint("`0:PORT` takes a free one")
        .exit(Exit::Prerequisite)?;
    let address = listener.local_addr().context("cannot read the local port")?;
    let forward = Forward { address, pod, port };
    context.data(&forward, |f| format!("{} → {} port {}", f.address, f.pod, f.port))?;
    limit::lift();
    let _forwarding = activity::begin(Kind::Work, format!("forwarding port {}", forward.address.port()));
    let forward = PodForward { client, namespace: args.namespace, target: args.target, remote };
    tokio::select! {
        ended = forward.serve(listener, &context.report) => ended.map(|()| Exit::Done),
        _ = signal::ctrl_c() => Ok(Exit::Done),
    }
}

fn ports(text: &str) -> anyhow::Result<(u16, u16)> {
    let (local, remote) = text.split_once(':').unwrap_or((text, text));
    let read = |t: &str| t.parse::<u16>().with_context(|| format!("invalid port `{t}`"));
    Ok((read(local)?, read(remote)?))
}
