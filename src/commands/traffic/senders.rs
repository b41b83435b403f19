//! A load from pods of the cluster.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::activity::{self, Kind};
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::event::{Tick, Totals};
use meshy_lab::{cluster, deploy, overlay};
use meshy_load::protocol::Part;
use meshy_load::{Report, TargetSpec};
use meshy_metrics::routes::Service;
use meshy_senders::{Fleet, Identity, Load, Placement, Sent, cleanup};

use super::{Args, Via};
use crate::commands::experiment::Ends;
use crate::context::Context;
use crate::measure::{self, Counted};
use crate::recording::Recording;
use crate::steps::Step;
use crate::tally;

/// What pods are to send.
pub(super) struct Wanted<'a> {
    pub(super) specs: Vec<TargetSpec>,
    /// What the targets are called in the record.
    pub(super) case: &'a str,
    pub(super) length: Duration,
}

/// Whether the load is sent by pods: if flags request it, or to a Service of a cluster that meshy created.
///
/// # Errors
/// Returns an error if the records of labs cannot be read.
pub(super) fn chosen(context: &Context, args: &Args, service: bool) -> anyhow::Result<bool> {
    if args.via == Some(Via::PortForward) {
        return Ok(false);
    }
    let wanted = args.senders.is_some() || args.from.is_some() || args.via == Some(Via::Senders);
    Ok(wanted || service && context.used_lab()?.is_some_and(|lab| cluster::is_made_by_meshy(&lab)))
}

/// Sends the load from pods, records it and measures the mesh around it; returns nothing if it is ended before the pods are
/// ready. The pods are deleted on every end but `kill -9`.
///
/// # Errors
/// Returns an error if the user does not consent, a sender does not start, or the cluster cannot be read.
pub(super) async fn step(
    context: &Context,
    args: &Args,
    wanted: Wanted<'_>,
    seen: Option<&Service>,
    ends: &Ends,
) -> anyhow::Result<Option<(Recording, Step, Sent)>> {
    let client = context.client_for_change("create pods that send load in").await?;
    let seen_namespace = seen.map(|service| service.namespace.clone());
    let namespace = args.namespace.clone().or(seen_namespace).unwrap_or_else(|| "default".to_owned());
    meshy_policy::services::namespace(&client, &namespace).await?;
    let identity = match &args.from {
        Some(workload) => Identity::of_workload(&client, &namespace, workload).await?,
        None => Identity::meshed(true),
    };
    let Wanted { specs, case, length } = wanted;
    let count = args.senders.unwrap_or(1);
    let placement = Placement { namespace, count, image: image(context, args)?, identity, length };
    let load = Load {
        targets: specs,
        parts: vec![Part {
            after_ms: 0,
            duration_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
            rate: args.rate,
        }],
        connections: args.connections,
        timeout: args.client_timeout,
    };
    let noun = if count == 1 { "sender" } else { "senders" };
    let starting =
        context.report.step("Starting", format!("{count} {noun} in namespace `{}`", placement.namespace));
    let run = run_id();
    let fleet = Fleet::start(&client, &placement, &run, context.deadline, ends.stop()).await;
    let words = |fleet: &Option<Fleet>| fleet.as_ref().map_or("stopped", |_| "").to_owned();
    let Some(fleet) = starting.ended(fleet, words)? else { return Ok(None) };
    let _sending = activity::begin(Kind::Work, format!("sending load to {case} from {count} pods"));
    let mut sent = None;
    let mesh = seen.map(|service| (&client, service));
    let send = async |each_second: &mut dyn FnMut(Tick)| {
        let each = |tick: &meshy_load::Tick, report: &Report| {
            let at = Duration::from_secs_f64(tick.at_seconds + tick.length_seconds);
            let scheduled = (args.rate * at.min(length).as_secs_f64()) as u64;
            each_second(tally::tick_of(report, ("traffic", at), scheduled, tick));
        };
        let result = fleet.send(&load, ends.stop(), each).await?;
        let totals = tally::totals_of(&result.report, result.length, result.scheduled());
        let counted = Counted {
            totals: Totals { incomplete: result.lines().split_off(1), ..totals },
            interrupted: result.interrupted,
        };
        sent = Some(result);
        Ok(counted)
    };
    let measured = async {
        let recording = super::begin(context, &args.tags, seen.map(|_| &client)).await?;
        let step = measure::step_by(&recording, ("traffic", case), mesh, (args.rate, length), send).await?;
        anyhow::Ok((recording, step))
    };
    let measured = measured.await;
    // Whatever happened, the pods go.
    let deleted = fleet.end().await;
    let (recording, step) = measured?;
    deleted?;
    Ok(Some((recording, step, sent.context("the senders did not report")?)))
}

/// Returns the image of senders: the lab's, or the one of `--sender-image`.
fn image(context: &Context, args: &Args) -> anyhow::Result<String> {
    if let Some(image) = &args.sender_image {
        return Ok(image.clone());
    }
    let Some(lab) = context.used_lab()? else {
        return Err(anyhow!("no image for senders is known for this cluster"))
            .hint("`--sender-image` names the test service's image in a registry that the cluster can reach")
            .exit(Exit::Usage);
    };
    let options = deploy::Options::of(&lab);
    Ok(overlay::deployed_image(options.registry_port, options.image.as_deref()))
}

/// A part of the names of pods: the time, to the millisecond.
fn run_id() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d%H%M%S%3f").to_string()
}

/// Deletes senders that a killed run left behind.
///
/// # Errors
/// Returns an error if the user does not consent, or the API fails.
pub(super) async fn clean(context: &Context, namespace: Option<&str>) -> anyhow::Result<Exit> {
    let client = context.client_for_change("delete the senders in").await?;
    if context.dry_run {
        let found = meshy_senders::leftovers(&client, namespace).await?;
        found.iter().for_each(|(namespace, name)| {
            context.report.say(format!("would delete pod `{name}` in namespace `{namespace}`"));
        });
        return Ok(Exit::Done);
    }
    let removed = cleanup(&client, namespace).await?;
    context.data(&removed, |removed| match removed.len() {
        0 => "no senders were left behind".to_owned(),
        _ => format!("deleted {}", removed.join("\ndeleted ")),
    })?;
    Ok(Exit::Done)
}
