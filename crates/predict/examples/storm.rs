//! Prints the class table of the storm: `storm [RUNS [full|short [TRIGGER…]]]`. A cell is the share of metastable runs (without a
//! trigger: of collapsed ones), the least, median and most seconds to recovery of the others, the peak of the attempts at the last
//! hop relative to the load, the share of wasted work, and how many runs a lower load and a pause restored.

use std::error::Error;
use std::io::Write as _;

use meshy_predict::predict::Options;
use meshy_predict::storm::{Form, Storm, StormPolicy, Trigger, extras, policies, triggers};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runs = args.first().map_or(Ok(10), |text| text.parse())?;
    let form = match args.get(1).map(String::as_str) {
        None | Some("full") => Form::Full,
        Some("short") => Form::Short,
        Some(other) => return Err(format!("invalid form `{other}`, expected `full` or `short`").into()),
    };
    let storm = match form {
        Form::Full => Storm::default(),
        Form::Short => Storm::small(),
    };
    let options = Options { runs, ..Options::default() };
    let mut columns: Vec<Option<Trigger>> =
        args.iter().skip(2).map(|text| text.parse().map(Some)).collect::<Result<_, _>>()?;
    if columns.is_empty() {
        columns = match form {
            Form::Full => triggers().map(Some).into_iter().chain([None]).collect(),
            Form::Short => vec![Some(Trigger::SHORT)],
        };
    }
    let mut out = std::io::stdout().lock();
    for policy in policies().iter().chain(&extras()) {
        for trigger in &columns {
            let name = trigger.map_or("no trigger".to_owned(), |trigger| trigger.to_string());
            let cell = cell(&storm, policy, trigger.as_ref(), &options)?;
            writeln!(out, "{:20} {name:12} {cell}", policy.name)?;
        }
    }
    Ok(())
}

fn cell(
    storm: &Storm,
    policy: &StormPolicy,
    trigger: Option<&Trigger>,
    options: &Options,
) -> Result<String, Box<dyn Error>> {
    let prediction = storm.predict(policy, trigger, options)?;
    let classes = prediction.classes.unwrap_or_default();
    let peak = prediction.edges.last().map_or(0.0, |edge| edge.peak_attempts_per_second.mean / storm.rate);
    let recovery = classes
        .recovery_seconds
        .map_or_else(String::new, |(least, median, most)| format!("[{least}, {median}, {most}] s"));
    Ok(format!(
        "{:5.1} % bad{} {recovery:14} peak {peak:4.1} wasted {:.2} restored by reduced load {} by pause {}",
        100.0 * classes.bad_ratio(),
        if classes.is_split() { " (split)" } else { "" },
        prediction.wasted_ratio.mean,
        classes.restored_by_reduced_load_count,
        classes.restored_by_pause_count,
    ))
}
