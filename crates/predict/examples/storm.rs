//! Prints the class table of the storm: `storm [RUNS [RATE]]`. A cell is the share of bad runs, and of the others the least,
//! median and most seconds to recovery.

use std::error::Error;
use std::io::Write as _;

use meshy_predict::predict::Options;
use meshy_predict::storm::{Form, Storm, Trigger, extras, policies, triggers};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let runs = args.next().map_or(Ok(10), |text| text.parse())?;
    let rate = args.next().map_or(Ok(30.0), |text| text.parse())?;
    let options = Options { runs, ..Options::default() };
    let full = Storm { rate, ..Storm::default() };
    let short = Storm { form: Form::Short, ..full.clone() };
    let mut columns: Vec<(&Storm, Option<Trigger>)> =
        triggers().into_iter().map(|trigger| (&full, Some(trigger))).collect();
    columns.push((&short, Some(Trigger::SHORT)));
    columns.push((&full, None));
    let mut out = std::io::stdout().lock();
    for policy in policies().iter().chain(&extras()) {
        write!(out, "{:20}", policy.name)?;
        for (storm, trigger) in &columns {
            let prediction = storm.predict(policy, trigger.as_ref(), &options)?;
            let classes = prediction.classes.unwrap_or_default();
            let name = trigger.map_or("no trigger".to_owned(), |trigger| trigger.to_string());
            let peak = prediction.edges.last().map_or(0.0, |edge| edge.peak_attempts_per_second.mean / rate);
            write!(out, " | {name}: {:3.0} %", 100.0 * classes.bad_ratio())?;
            if let Some((least, median, most)) = classes.recovery_seconds {
                write!(out, " [{least}, {median}, {most}]")?;
            }
            let (reduced, pause) = (classes.restored_by_reduced_load_count, classes.restored_by_pause_count);
            write!(
                out,
                " peak {peak:.1} wasted {:.2} relief {reduced}/{pause}",
                prediction.wasted_ratio.mean
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}
