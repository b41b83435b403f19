//! `meshy fault`: changes how a test service fails while it runs.

use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::original_demo;
use meshy_base::error::Exit;
use meshy_policy::services;
use meshy_policy::test_service::{self, Fault, FaultChange};

/// What to change.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy fault 70\n  meshy fault 500,500,200\n  meshy fault off bounced-service"
)]
pub struct Args {
    /// Percent of requests that fail, a sequence of statuses such as 500,500,200, or `off`; without a value the faults are shown
    #[arg(value_parser = change, value_name = "PERCENT|STATUSES|off")]
    change: Option<FaultChange>,
    /// The service
    #[arg(default_value = original_demo::CALLED)]
    service: String,
    /// Its namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Make the failures repeatable
    #[arg(long)]
    seed: Option<u64>,
}

fn change(text: &str) -> Result<FaultChange, String> {
    let wrong = || format!("`{text}` is neither a percentage, nor statuses like 500,500,200, nor `off`");
    let quota = |quota| FaultChange {
        quota: Some(quota),
        reject: Some(true),
        sequence: Some(Vec::new()),
        errors: Some(None),
        ..FaultChange::default()
    };
    if text == "off" {
        return Ok(quota(0));
    }
    if let Ok(percent) = text.trim_end_matches('%').parse::<u8>()
        && percent <= 100
    {
        return Ok(quota(percent));
    }
    let statuses = text.split(',').map(|status| status.trim().parse::<u16>());
    let statuses: Vec<u16> = statuses.collect::<Result<_, _>>().map_err(|_| wrong())?;
    if statuses.iter().any(|status| !(200..=599).contains(status)) {
        return Err(wrong());
    }
    Ok(FaultChange { sequence: Some(statuses), ..FaultChange::default() })
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    service: &'a str,
    namespace: &'a str,
    replicas_count: usize,
    /// The share of requests that fail.
    fail_ratio: f64,
    /// They fail with 500, not with an empty 200.
    rejects: bool,
    /// Given in turn instead.
    statuses: &'a [u16],
}

/// Changes the fault in all replicas, or shows it.
///
/// # Errors
/// The service is not there, or does not run the test service.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = match &args.change {
        Some(_) => context.client_for_change("change how a service fails in").await?,
        None => context.client().await?,
    };
    let pods = services::pods(&client, &args.namespace, &args.service).await?;
    let change = args.change.map(|change| FaultChange { seed: args.seed.map(Some), ..change });
    let fault = match change {
        Some(change) if context.dry_run => {
            let pods: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
            context.report.say(format!("would send {} to {}", json!(change), pods.join(", ")));
            return Ok(Exit::Done);
        }
        Some(change) => test_service::change_fault(&client, &pods, &change).await?,
        None => test_service::fault(&client, &pods).await?,
    };
    let document = Document {
        service: &args.service,
        namespace: &args.namespace,
        replicas_count: pods.len(),
        fail_ratio: fault.ratio(),
        rejects: fault.reject,
        statuses: &fault.sequence,
    };
    context.data(&document, |_| {
        let replicas =
            if pods.len() == 1 { String::new() } else { format!(" (each of {} replicas)", pods.len()) };
        format!("{} {}{replicas}", args.service, words(&fault))
    })?;
    Ok(Exit::Done)
}

fn words(fault: &Fault) -> String {
    if !fault.sequence.is_empty() {
        let statuses: Vec<String> = fault.sequence.iter().map(u16::to_string).collect();
        return format!("answers {} in turn", statuses.join(", "));
    }
    if fault.down {
        return "refuses connections".to_owned();
    }
    if let Some(errors) = fault.errors {
        return format!("returns 500 for {:.0} % of requests", errors * 100.0);
    }
    match (fault.quota, fault.reject) {
        (0, _) => "does not fail on purpose".to_owned(),
        (quota, true) => format!("returns 500 for {quota} % of requests"),
        (quota, false) => format!("returns an empty 200 for {quota} % of requests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_percentage_a_script_or_off() {
        assert_eq!(change("70").unwrap().quota, Some(70));
        assert_eq!(change("70%").unwrap().sequence, Some(Vec::new()));
        assert_eq!(change("500,500,200").unwrap().sequence, Some(vec![500, 500, 200]));
        assert_eq!(change("500").unwrap().sequence, Some(vec![500]));
        assert_eq!(change("off").unwrap().quota, Some(0));
        for wrong in ["101", "on", "-5", "500,x", "99,200", ""] {
            assert!(change(wrong).is_err(), "{wrong}");
        }
    }
}
