//! 1, 2 and 4 senders at a rate each, on an embedded cluster in this process: counts, percentiles, start skew, and one killed
//! sender. `bench/senders` runs it.
//!
//! Arguments: requests per second of each sender, seconds of a load.

#![expect(clippy::print_stdout, reason = "the output of an example")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams};
use meshy_embedded::{Cluster, Options};
use meshy_kube::{Apply, Kinds, Manager, manifest, wait};
use meshy_load::protocol::Part;
use meshy_load::{Outcome, Report, TargetSpec};
use meshy_senders::{Fleet, Identity, Load, Placement, Sent};
use meshy_topology::{ManifestOptions, Topology};
use tokio::sync::watch;
use tokio::time::Instant;

const IMAGE: &str = "localhost:5000/minimal-service:v1.0.0";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let rate: f64 = args.next().unwrap_or("500".to_owned()).parse().context("invalid rate")?;
    let seconds: u64 = args.next().unwrap_or("60".to_owned()).parse().context("invalid seconds")?;
    let cluster = Cluster::start(Options { api_addr: None, ..Options::ephemeral("senders") }).await?;
    let client = cluster.client();
    deploy(&client).await?;
    println!("senders  scheduled      ended  succeeded      p50       p99  start skew");
    for count in [1, 2, 4] {
        let sent = send(&client, count, (rate, seconds), false).await?;
        line(count, &sent);
        check(&sent, u64::from(count) * (rate * seconds as f64).round() as u64)?;
    }
    let sent = send(&client, 2, (rate, seconds), true).await?;
    line(2, &sent);
    ensure!(sent.is_incomplete(), "a sender was killed and the result is complete");
    sent.lines().iter().skip(1).for_each(|line| println!("{line}"));
    cluster.stop().await?;
    Ok(())
}

async fn send(client: &Client, count: u32, (rate, seconds): (f64, u64), kill: bool) -> anyhow::Result<Sent> {
    let placement = Placement {
        namespace: "shop".to_owned(),
        count,
        image: IMAGE.to_owned(),
        identity: Identity::meshed(true),
        length: Duration::from_secs(seconds),
    };
    let run = format!("bench{count}{}", u8::from(kill));
    let running = watch::channel(false).1;
    let fleet = Fleet::start(client, &placement, &run, deadline(), running).await?;
    let fleet = fleet.context("the senders were stopped")?;
    let load = Load {
        targets: vec![TargetSpec { url: "http://app.shop:8080/".to_owned(), ..TargetSpec::default() }],
        parts: vec![Part { after_ms: 0, duration_ms: seconds * 1000, rate: rate * f64::from(count) }],
        connections: 64,
        timeout: Duration::from_secs(10),
    };
    let (_go, stop) = watch::channel(false);
    let (half, mut reached) = watch::channel(false);
    let wanted = (rate * seconds as f64) as u64 / 2;
    let sending = fleet.send(&load, stop, |_, report| {
        if report.requests() >= wanted {
            half.send_replace(true);
        }
    });
    let killing = async {
        if kill && reached.wait_for(|reached| *reached).await.is_ok() {
            let api: Api<Pod> = Api::namespaced(client.clone(), "shop");
            let at_once = DeleteParams::default().grace_period(0);
            // If it fails, the result is complete, which is an error.
            let _ = api.delete(&format!("meshy-sender-{run}-1"), &at_once).await;
        }
    };
    let (sent, _) = tokio::join!(sending, tokio::time::timeout(Duration::from_secs(seconds), killing));
    fleet.end().await?;
    sent
}

fn line(count: u32, sent: &Sent) {
    let summary = sent.summary();
    println!(
        "{count:>7} {:>10} {:>10} {:>10} {:>5.2} ms {:>6.2} ms {:>8.2} ms{}",
        sent.scheduled(),
        summary.requests_count,
        summary.succeeded_count,
        summary.latency.p50_ms,
        summary.latency.p99_ms,
        sent.start_skew.unwrap_or_default().as_secs_f64() * 1000.0,
        if sent.is_incomplete() { "  incomplete" } else { "" },
    );
}

/// Checks that each request is counted once, and that the merge of the reports is the same in any order.
fn check(sent: &Sent, wanted: u64) -> anyhow::Result<()> {
    ensure!(sent.scheduled() == wanted, "{} requests scheduled, expected {wanted}", sent.scheduled());
    ensure!(sent.report.requests() == wanted, "{} requests ended, expected {wanted}", sent.report.requests());
    let mut backwards = Report::default();
    sent.reports.iter().rev().for_each(|report| backwards.merge(report));
    ensure!(backwards == sent.report, "the merge depends on the order of the senders");
    let succeeded = sent
        .reports
        .iter()
        .map(|report| report.outcomes().get(&Outcome::Answer(200)).map_or(0, |of| of.count()));
    ensure!(succeeded.sum::<u64>() == sent.report.succeeded(), "the merge lost or gained requests");
    Ok(())
}

async fn deploy(client: &Client) -> anyhow::Result<()> {
    let kinds = Kinds::new(client.clone());
    let topology: Topology = serde_json::from_value(serde_json::json!({
        "apiVersion": "meshy/v1alpha1", "kind": "Topology", "metadata": { "name": "app" },
        "services": [{ "name": "app", "entrypoint": true }],
    }))?;
    let options = ManifestOptions { namespace: "shop".to_owned(), image: IMAGE.to_owned(), inject: true };
    let mut objects = Vec::new();
    for value in meshy_topology::manifests(&topology, &options) {
        objects.extend(manifest::from_value(value)?);
    }
    let applied = Apply::new(&kinds, Manager::Manifests, deadline()).run(objects).await?;
    let objects: Vec<_> = applied.into_iter().map(|applied| applied.object).collect();
    wait::ready(&kinds, &objects, deadline(), None).await
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(120)
}
