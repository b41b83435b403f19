//! Storms in words and tables: the class of each variant next to the predicted one, and what it cost.

use meshy_experiment::storm::{Class, StormOutcome};

use super::{WIDTH, wrapped};
use crate::steps::Step;
use crate::ui::table::{self, Table};

/// The widest line of goodput.
const MOST_SECONDS: usize = 56;

/// Steps with a trigger: a table, goodput over time, and a paragraph for each. Empty without such a step.
pub(crate) fn of_storms(steps: &[Step]) -> String {
    let storms: Vec<(&Step, &StormOutcome)> =
        steps.iter().filter_map(|step| Some((step, step.storm.as_ref()?))).collect();
    if storms.is_empty() {
        return String::new();
    }
    let mut rows = Table::new(1, &HEAD);
    for (step, storm) in &storms {
        rows.row(cells(step, storm));
    }
    let mut text = rows.render();
    text.push_str(
        "\nPEAK: attempts at the disturbed service. WASTED: its work whose client had disconnected.\n\n\
         Goodput by the second in which requests were to start, from none to all (▁ to █):\n",
    );
    let widest = storms.iter().map(|(step, _)| variant(step).chars().count()).max().unwrap_or(0);
    for (step, storm) in &storms {
        text.push_str(&format!("  {:<widest$}  {}\n", variant(step), bars(&storm.goodput_ratios)));
    }
    for (step, storm) in &storms {
        // The text explains the predicted class, and would contradict another one.
        let is_predicted =
            step.predicted_class.as_deref().is_none_or(|predicted| predicted == class(&storm.class));
        let why = step.why.as_deref().filter(|_| is_predicted).unwrap_or_default();
        let paragraph = format!("{}: {} {why}", variant(step), sentences(step, storm));
        text.push_str(&format!("\n{}\n", wrapped(paragraph.trim_end(), WIDTH).join("\n")));
    }
    text
}

/// The columns of a table of storms.
pub(crate) const HEAD: [&str; 7] =
    ["STORM", "CLASS", "PREDICTED", "RECOVERY", "PEAK", "WASTED", "ATTEMPTS/REQ AT EACH HOP"];

/// A storm's row under [`HEAD`].
pub(crate) fn cells(step: &Step, storm: &StormOutcome) -> [String; 7] {
    let hops = storm.hops.iter().map(|hop| format!("{} {:.1}", hop.service, hop.attempts_per_request));
    [
        variant(step).to_owned(),
        class(&storm.class).to_owned(),
        step.predicted_class.clone().unwrap_or(table::UNKNOWN.to_owned()),
        recovery(&storm.class).unwrap_or(table::UNKNOWN.to_owned()),
        storm.peak_attempts_per_second.map_or(table::UNKNOWN.to_owned(), |peak| format!("{peak:.0}/s")),
        percent(storm.wasted_ratio),
        hops.collect::<Vec<_>>().join(", "),
    ]
}

/// What happened after the trigger, as a sentence without a capital letter.
pub(super) fn sentences(step: &Step, storm: &StormOutcome) -> String {
    let predicted = match step.predicted_class.as_deref() {
        Some(predicted) if predicted == class(&storm.class) => ", as predicted",
        Some(_) if !matches!(storm.class, Class::Undecided { .. }) => ", which was not predicted",
        _ => "",
    };
    let mut text = match &storm.class {
        Class::Recovered { after_seconds } => {
            format!("goodput recovered {after_seconds} s after the trigger")
        }
        Class::Metastable => "goodput did not recover after the trigger".to_owned(),
        Class::Undecided { reason } => reason.clone(),
    };
    text.push_str(predicted);
    match &storm.restored_by {
        Some(step) => text.push_str(&format!("; step `{step}` restored it.")),
        None => text.push('.'),
    }
    text
}

fn class(class: &Class) -> &'static str {
    match class {
        Class::Recovered { .. } => "recovered",
        Class::Metastable => "metastable",
        Class::Undecided { .. } => "undecided",
    }
}

fn recovery(class: &Class) -> Option<String> {
    match class {
        Class::Recovered { after_seconds } => Some(format!("{after_seconds}s")),
        _ => None,
    }
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or(table::UNKNOWN.to_owned(), |ratio| format!("{:.0}%", ratio * 100.0))
}

/// The variant of a step, or its name where there are none.
fn variant(step: &Step) -> &str {
    step.name.split_once('/').map_or(step.name.as_str(), |(variant, _)| variant)
}

/// A line of blocks, one for each second, or for several where there are many.
fn bars(seconds: &[Option<f64>]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let each = seconds.len().div_ceil(MOST_SECONDS).max(1);
    let bar = |group: &[Option<f64>]| {
        let known: Vec<f64> = group.iter().flatten().copied().collect();
        if known.is_empty() {
            return ' ';
        }
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        BLOCKS[(mean.clamp(0.0, 1.0) * 7.0).round() as usize]
    };
    seconds.chunks(each).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use meshy_experiment::storm::Hop;

    use super::*;

    fn step(class: Class, restored_by: Option<&str>) -> Step {
        let storm = StormOutcome {
            class,
            hops: vec![Hop { service: "cart".to_owned(), attempts_per_request: 2.96 }],
            peak_attempts_per_second: Some(815.4),
            wasted_ratio: Some(0.88),
            goodput_ratios: [vec![Some(1.0); 3], vec![Some(0.0); 2], vec![None]].concat(),
            restored_by: restored_by.map(str::to_owned),
        };
        Step {
            name: "everywhere/storm".to_owned(),
            predicted_class: Some("metastable".to_owned()),
            storm: Some(storm),
            why: Some("Each edge repeats.".to_owned()),
            ..Step::default()
        }
    }

    #[test]
    fn a_storm_is_shown_with_its_class_its_cost_and_the_step_that_ended_it() {
        let text = of_storms(&[Step::default(), step(Class::Metastable, Some("no-load"))]);
        let text = text.replace('\n', " ");
        for words in [
            "everywhere   metastable   metastable",
            "815/s",
            "88%",
            "cart 3.0",
            "everywhere  ███▁▁",
            "everywhere: goodput did not recover after the trigger, as predicted; step `no-load` restored it.",
            "Each edge repeats.",
        ] {
            assert!(text.contains(words), "`{words}` is missing:\n{text}");
        }
        assert_eq!(of_storms(&[Step::default()]), "");
    }

    #[test]
    fn the_text_that_explains_the_predicted_class_is_not_shown_with_another_one() {
        let text = of_storms(&[step(Class::Recovered { after_seconds: 5 }, None)]);
        assert!(text.contains("which was not predicted") && !text.contains("Each edge repeats."), "{text}");
    }

    #[test]
    fn a_class_that_was_not_predicted_is_named_as_such() {
        let text = of_storms(&[step(Class::Recovered { after_seconds: 4 }, None)]).replace('\n', " ");
        assert!(text.contains("goodput recovered 4 s after the trigger, which was not predicted."), "{text}");
        assert!(text.contains(" 4s "), "{text}");
    }

    #[test]
    fn many_seconds_share_a_block() {
        assert_eq!(bars(&vec![Some(1.0); 80]).chars().count(), 40);
        assert_eq!(bars(&[Some(1.0), None, Some(0.0)]), "█ ▁");
    }
}
