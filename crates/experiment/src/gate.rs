//! Results for pipelines: JUnit XML and a Markdown summary.

use std::fmt::Write as _;
use std::time::Duration;

use crate::event::{ConditionResult, Results, Verdict};
use crate::interval::float;

/// What a pipeline reports of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gate {
    /// The name of the scenario or command.
    pub name: String,
    /// Its title.
    pub title: String,
    /// The time it took.
    pub duration: Duration,
    /// The conditions, in order.
    pub condition_results: Vec<ConditionResult>,
}

impl Gate {
    /// Whether every condition is met. One that is undecided is not.
    pub fn is_met(&self) -> bool {
        self.condition_results.iter().all(|one| one.verdict == Verdict::Met)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.condition_results.iter().filter(|one| one.verdict == verdict).count()
    }

    /// Returns the conditions that are not met in one line, for stderr; `None` where all are met.
    pub fn failure(&self) -> Option<String> {
        let failed: Vec<String> =
            self.condition_results.iter().filter(|one| one.verdict != Verdict::Met).map(short).collect();
        let (count, all) = (failed.len(), self.condition_results.len());
        let noun = if all == 1 { "expectation" } else { "expectations" };
        (count > 0).then(|| format!("{count} of {all} {noun} not met: {}", failed.join("; ")))
    }

    /// Returns the conditions as JUnit XML: not met is a failure, undecided an error.
    pub fn junit(&self) -> String {
        let attributes = format!(
            "name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3}\"",
            escaped(&self.name),
            self.condition_results.len(),
            self.count(Verdict::NotMet),
            self.count(Verdict::Undecided),
            self.duration.as_secs_f64()
        );
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {attributes}>\n  <testsuite {attributes}>\n"
        );
        for one in &self.condition_results {
            let class = match &one.variant {
                Some(variant) => format!("{}.{variant}", self.name),
                None => self.name.clone(),
            };
            let (class, name) = (escaped(&class), escaped(&one.condition));
            let _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"0\"");
            let element = match one.verdict {
                Verdict::Met => {
                    let _ = writeln!(
                        xml,
                        ">\n      <system-out>{}</system-out>\n    </testcase>",
                        escaped(&one.measured)
                    );
                    continue;
                }
                Verdict::NotMet => "failure",
                Verdict::Undecided => "error",
            };
            let message = escaped(&format!("{}: measured {}", one.verdict, one.measured));
            let _ = writeln!(
                xml,
                ">\n      <{element} type=\"{}\" message=\"{message}\"></{element}>\n    </testcase>",
                one.verdict
            );
        }
        xml.push_str("  </testsuite>\n</testsuites>\n");
        xml
    }

    /// Returns the conditions as a table in Markdown; empty without conditions.
    pub fn table(&self) -> String {
        let (met, all) = (self.count(Verdict::Met), self.condition_results.len());
        if all == 0 {
            return String::new();
        }
        let mut text = format!(
            "{met} of {all} expectations met.\n\n| expected | result | measured |\n| --- | --- | --- |\n"
        );
        for one in &self.condition_results {
            let variant =
                one.variant.iter().map(|variant| format!(" ({})", cell(variant))).collect::<String>();
            let verdict = match one.verdict {
                Verdict::Met => "met",
                Verdict::NotMet => "**not met**",
                Verdict::Undecided => "**undecided**",
            };
            let _ =
                writeln!(text, "| {}{variant} | {verdict} | {} |", cell(&one.condition), cell(&one.measured));
        }
        text
    }

    /// Returns conditions and steps as Markdown, for example for `$GITHUB_STEP_SUMMARY`.
    pub fn summary(&self, results: &Results) -> String {
        let title = if self.title.is_empty() { &self.name } else { &self.title };
        let mut text = format!("## {}\n\n{}", cell(title), self.table());
        text.push_str("\n| step | requests | success | attempts | p50 | p99 |\n| --- | ---: | ---: | ---: | ---: | ---: |\n");
        for variant in results.variants() {
            for step in results.steps() {
                let Some(result) = results.step(variant, step) else { continue };
                let name = variant.map_or(step.clone(), |variant| format!("{variant}/{step}"));
                let load = &result.totals.load;
                let success =
                    (load.requests > 0).then(|| float(load.succeeded) / float(load.requests) * 100.0);
                let success = success.map_or("-".to_owned(), |percent| format!("{percent:.1} %"));
                let attempts =
                    result.watched_attempts().map_or("-".to_owned(), |attempts| attempts.to_string());
                let quantiles = result.totals.latencies.quantiles();
                let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
                let (p50, p99) = (ms(quantiles.map(|q| q.p50_ms)), ms(quantiles.map(|q| q.p99_ms)));
                let _ = writeln!(
                    text,
                    "| {} | {} | {success} | {attempts} | {p50} | {p99} |",
                    cell(&name),
                    load.requests
                );
            }
        }
        text
    }
}

fn short(one: &ConditionResult) -> String {
    let variant = one.variant.iter().map(|variant| format!("{variant}: ")).collect::<String>();
    let measured = match (one.verdict, one.measured.starts_with("not measured: ")) {
        (_, true) => one.measured.clone(),
        (Verdict::Undecided, false) => format!("undecided, measured {}", one.measured),
        (Verdict::Met | Verdict::NotMet, false) => format!("measured {}", one.measured),
    };
    format!("{variant}{} ({measured})", one.condition)
}

/// Escapes a text for XML; characters that XML forbids are replaced.
pub(crate) fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '&' => result.push_str("&amp;"),
            '"' => result.push_str("&quot;"),
            '\'' => result.push_str("&#39;"),
            '\n' | '\t' => result.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => result.push('\u{fffd}'),
            c => result.push(c),
        }
    }
    result
}

/// Escapes a text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        match c {
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '&' => result.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '!' => {
                result.push('\\');
                result.push(c);
            }
            c if c.is_control() => result.push(' '),
            c => result.push(c),
        }
    }
    result
}

#[cfg(test)]
mod tests;
