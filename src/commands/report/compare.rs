//! `meshy report A B`: two recorded runs, compared.

use anyhow::anyhow;

use crate::compare::{self, Difference};
use crate::context::Context;
use crate::runs;
use crate::ui::Table;
use crate::ui::table::{UNKNOWN, percent};
use meshy_base::error::{Advise, Exit};

/// Compares step by step, by name; two runs of one step each whatever they are called.
///
/// # Errors
/// A run is not there, or they have no step in common.
#[expect(clippy::unused_async, reason = "commands have one form")]
pub(super) async fn run(context: &Context, first: &str, second: &str) -> anyhow::Result<Exit> {
    let (first, second) = (runs::load(first)?, runs::load(second)?);
    let differences: Vec<Difference> = match (&first.steps[..], &second.steps[..]) {
        ([a], [b]) => vec![compare::steps(a, b)],
        (all, others) => {
            let pair = |a| Some((a, others.iter().find(|b: &&crate::steps::Step| b.name == step_name(a))?));
            all.iter().filter_map(pair).map(|(a, b)| compare::steps(a, b)).collect()
        }
    };
    if differences.is_empty() {
        return Err(anyhow!("runs `{}` and `{}` have no step in common", first.id, second.id))
            .hint("`meshy explain RUN` shows a run's steps");
    }
    context.data(&differences, |differences| words(differences))?;
    Ok(Exit::Done)
}

fn step_name(step: &crate::steps::Step) -> &str {
    &step.name
}

fn words(differences: &[Difference]) -> String {
    let heading = ["STEP", "FIRST", "SECOND", "DIFFERENCE", "P50", "P99", "VERDICT"];
    let mut table = Table::new(1, &heading);
    for one in differences {
        let points = one.difference_points.zip(one.uncertainty_points);
        table.row([
            one.step.clone(),
            percent(one.first_success_ratio),
            percent(one.second_success_ratio),
            points.map_or(UNKNOWN.to_owned(), |(d, u)| format!("{d:+.1} ±{u:.1}")),
            format!("{:.1} → {:.1}ms", one.p50_ms.0, one.p50_ms.1),
            format!("{:.1} → {:.1}ms", one.p99_ms.0, one.p99_ms.1),
            one.verdict.words().to_owned(),
        ]);
    }
    format!("{}\n\nDifferences in percentage points; ± is three standard deviations.", table.render())
}
