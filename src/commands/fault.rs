//! `meshy fault`: changes how a test service fails while it runs.

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::original_demo;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::{Factor, Length};
use meshy_policy::services;
use meshy_policy::test_service::{self, Delay, Distribution, Fault, FaultChange};

/// What to change.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy fault 70 --blocks\n  meshy fault 500,500,200\n  meshy fault delay=100ms:exponential\n  \
                  meshy fault off bounced-service"
)]
pub struct Args {
    /// A percentage, statuses in turn, `delay=100ms`, `slow=3x`, `down`, `off`, or `reset` (to the values of the manifest); without it the faults are shown
    #[arg(value_parser = change, value_name = "FAULT")]
    change: Option<FaultChange>,
    /// The service
    #[arg(default_value = original_demo::CALLED)]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// With a percentage: make the share exact by blocks of ten requests
    #[arg(long, requires = "change")]
    blocks: bool,
    /// The random seed, which makes the failures repeatable
    #[arg(long)]
    seed: Option<u64>,
}

fn change(text: &str) -> Result<FaultChange, String> {
    let wrong = || {
        format!(
            "`{text}` is neither a percentage, nor statuses like 500,500,200, nor `delay=100ms`, `slow=3x`, `down`, `off` or `reset`"
        )
    };
    let quota = |quota| FaultChange {
        quota: Some(quota),
        reject: Some(true),
        sequence: Some(Vec::new()),
        errors: Some(None),
        ..FaultChange::default()
    };
    match text {
        "off" => {
            return Ok(FaultChange { delay: Some(None), slow: Some(1.0), down: Some(false), ..quota(0) });
        }
        "down" => return Ok(FaultChange { down: Some(true), ..FaultChange::default() }),
        "reset" => return Ok(FaultChange { reset: true, ..FaultChange::default() }),
        _ => {}
    }
    if let Some(delay) = text.strip_prefix("delay=") {
        let delay = delay_of(delay).ok_or_else(wrong)?;
        return Ok(FaultChange { delay: Some(Some(delay)), ..FaultChange::default() });
    }
    if let Some(factor) = text.strip_prefix("slow=") {
        let factor: Factor = factor.parse().map_err(|_| wrong())?;
        return Ok(FaultChange { slow: Some(factor.0), ..FaultChange::default() });
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

/// Reads `100ms`, `100ms:fixed`, `100ms:uniform` or `100ms:exponential`.
fn delay_of(text: &str) -> Option<Delay> {
    let (mean, distribution) = text.split_once(':').unwrap_or((text, "fixed"));
    let distribution = serde_json::from_value(json!(distribution)).ok()?;
    let mean: Length = mean.parse().ok()?;
    Some(Delay { mean_ms: mean.0.as_secs_f64() * 1000.0, distribution })
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    service: &'a str,
    namespace: &'a str,
    replicas_count: usize,
    /// The share of requests that fail.
    fail_ratio: f64,
    /// Whether these requests fail with 500; if not, they get an empty 200.
    rejects: bool,
    /// The statuses that are returned in turn, instead of a share of failures.
    statuses: &'a [u16],
    /// The mean delay of each response; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<f64>,
    /// Delays and service times are multiplied by this.
    slow_factor: f64,
    /// Whether the service refuses connections.
    down: bool,
}

/// Changes the fault in all replicas, or shows it.
///
/// # Errors
/// The service is not there, or does not run the test service.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.blocks && args.change.as_ref().is_some_and(|change| change.quota.is_none()) {
        return Err(anyhow!("`--blocks` is for a percentage of requests that fail")).exit(Exit::Usage);
    }
    let client = match &args.change {
        Some(_) => context.client_for_change("change how a service fails in").await?,
        None => context.client().await?,
    };
    let pods = services::pods(&client, &args.namespace, &args.service).await?;
    let blocks = args.blocks.then_some(true);
    let change = args.change.map(|change| FaultChange { seed: args.seed.map(Some), blocks, ..change });
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
        fail_ratio: test_service::fail_ratio(&fault),
        rejects: fault.reject,
        statuses: &fault.sequence,
        delay_ms: fault.delay.as_ref().map(|delay| delay.mean_ms),
        slow_factor: fault.slow,
        down: fault.down,
    };
    context.data(&document, |_| {
        let replicas =
            if pods.len() == 1 { String::new() } else { format!(" (each of {} replicas)", pods.len()) };
        format!("{} {}{replicas}", args.service, words(&fault))
    })?;
    Ok(Exit::Done)
}

fn words(fault: &Fault) -> String {
    if fault.down {
        return "refuses connections".to_owned();
    }
    let failures = match (&fault.sequence[..], fault.errors, fault.quota, fault.reject) {
        ([], None, 0, _) => None,
        ([], None, quota, true) => Some(format!("returns 500 for {quota} % of requests")),
        ([], None, quota, false) => Some(format!("returns an empty 200 for {quota} % of requests")),
        ([], Some(errors), ..) => Some(format!("returns 500 for {:.0} % of requests", errors * 100.0)),
        (statuses, ..) => {
            let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
            Some(format!("returns {} in turn", statuses.join(", ")))
        }
    };
    let delay = fault.delay.map(|delay| match delay.distribution {
        Distribution::Fixed => format!("delays each response by {} ms", delay.mean_ms),
        Distribution::Uniform => format!("delays responses by {} ms on average (uniform)", delay.mean_ms),
        Distribution::Exponential => {
            format!("delays responses by {} ms on average (exponential)", delay.mean_ms)
        }
    });
    let slow = (fault.slow != 1.0).then(|| format!("is {} times slower", fault.slow));
    let all: Vec<String> = [failures, delay, slow].into_iter().flatten().collect();
    if all.is_empty() { "does not fail on purpose".to_owned() } else { all.join(" and ") }
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
        for wrong in
            ["101", "on", "-5", "500,x", "99,200", "", "delay=", "delay=5ms:normal", "slow=0x", "slow=x"]
        {
            assert!(change(wrong).is_err(), "{wrong}");
        }
    }
    #[test]
    fn a_fault_is_a_delay_a_factor_an_outage_or_the_manifests() {
        let delay =
            |text| change(text).unwrap().delay.unwrap().map(|delay| (delay.mean_ms, delay.distribution));
        assert_eq!(delay("delay=100ms"), Some((100.0, Distribution::Fixed)));
        assert_eq!(delay("delay=2s:exponential"), Some((2000.0, Distribution::Exponential)));
        assert_eq!(change("slow=3x").unwrap().slow, Some(3.0));
        assert_eq!(change("down").unwrap().down, Some(true));
        assert!(change("reset").unwrap().reset);
        let off = change("off").unwrap();
        assert_eq!(
            (off.delay, off.slow, off.down),
            (Some(None), Some(1.0), Some(false)),
            "off ends all faults"
        );
    }

    #[test]
    fn all_that_a_service_does_wrong_is_named() {
        let delay = Some(Delay { mean_ms: 100.0, distribution: Distribution::Uniform });
        let fault = Fault { quota: 70, reject: true, delay, slow: 3.0, ..Fault::default() };
        let expected = "returns 500 for 70 % of requests and delays responses by 100 ms on average (uniform) and is 3 times slower";
        assert_eq!(words(&fault), expected);
        assert_eq!(words(&Fault { down: true, ..fault }), "refuses connections");
        assert_eq!(words(&Fault::default()), "does not fail on purpose");
    }
}
