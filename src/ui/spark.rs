//! The view of a run on a terminal: success now, and of the last minute as a line of blocks.

use console::style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use meshy_experiment::event::{StepStarted, Tick};

use super::no_echo::NoEcho;

/// Seconds in the sparkline: what a terminal of 80 columns shows next to its label.
const SPARK: usize = 60;

/// Seconds of the first number of the live view: long enough that a few requests per second are no saw.
const NOW: usize = 5;

/// What happened since the tick before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Second {
    end_seconds: f64,
    length_seconds: f64,
    requests: u64,
    succeeded: u64,
    quantiles: [f64; 3],
}

impl Second {
    /// Returns what happened between two ticks; `None` for a short rest without requests.
    pub(crate) fn between(last: &Tick, tick: &Tick) -> Option<Self> {
        let quantiles = tick.latency_now.unwrap_or_default();
        let second = Self {
            end_seconds: tick.at_ms as f64 / 1000.0,
            length_seconds: tick.at_ms.saturating_sub(last.at_ms) as f64 / 1000.0,
            requests: tick.load.requests.saturating_sub(last.load.requests),
            succeeded: tick.load.succeeded.saturating_sub(last.load.succeeded),
            quantiles: [quantiles.p50_ms, quantiles.p95_ms, quantiles.p99_ms],
        };
        (second.requests > 0 || second.length_seconds >= 0.5).then_some(second)
    }

    fn success(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.succeeded as f64 / self.requests as f64)
    }

    /// Returns one aligned line; the variant stands at its end.
    pub(crate) fn line(&self, variant: Option<&str>) -> String {
        let success = self.success().map_or("-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0));
        let [p50, p95, p99] = self.quantiles;
        let variant = variant.map(|variant| format!("  {variant}")).unwrap_or_default();
        format!(
            "{:>7.0}s {:>10} {success:>9} {p50:>6.1}ms {p95:>6.1}ms {p99:>6.1}ms{variant}",
            self.end_seconds, self.requests
        )
    }
}

/// The view on a terminal: success now, and of the last minute as a line of blocks.
#[derive(Default)]
pub(crate) struct Spark {
    step: String,
    /// Drawn with the first second.
    bar: Option<ProgressBar>,
    /// Without it ctrl-C would move the lines of the view.
    quiet: Option<NoEcho>,
    past: Vec<Second>,
    marks: Vec<usize>,
    rate: f64,
}

impl Spark {
    /// Begins with a step; what the step before has shown stays.
    pub(crate) fn begin(&mut self, started: &StepStarted) {
        self.end();
        let quiet = Some(NoEcho::ctrl_c());
        let (step, rate) = (started.step.clone(), started.offered_per_second);
        *self = Self { step, quiet, rate, ..Self::default() };
    }

    /// Returns the name of the step that is shown.
    pub(crate) fn step(&self) -> &str {
        &self.step
    }

    /// Whether something is drawn.
    pub(crate) fn is_drawn(&self) -> bool {
        self.bar.is_some()
    }

    /// Prints a line above what is drawn.
    pub(crate) fn say(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.println(line);
        }
    }

    /// Adds a second at the end.
    pub(crate) fn add(&mut self, second: Second) {
        self.past.push(second);
        let text = self.text();
        self.bar.get_or_insert_with(bar).set_message(text);
    }

    /// Marks a change at the present second.
    pub(crate) fn mark(&mut self, text: &str) {
        self.marks.push(self.past.len());
        self.say(&format!("  {} {text}", style("▲").cyan()));
    }

    /// Ends the view; what it showed last stays.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
        self.quiet = None;
    }

    fn text(&self) -> String {
        let recent = &self.past[self.past.len().saturating_sub(SPARK)..];
        let from = self.past.len() - recent.len();
        let requests: u64 = recent.iter().map(|second| second.requests).sum();
        let seconds: f64 = recent.iter().map(|second| second.length_seconds).sum();
        let now = self.past.last().copied().unwrap_or_default();
        let spark: String = recent.iter().map(|second| block(second.success())).collect();
        let below: String =
            (0..recent.len()).map(|at| if self.marks.contains(&(at + from)) { '▲' } else { ' ' }).collect();
        let below = match below.trim_end() {
            "" => String::new(),
            below => format!("\n  {}", style(below).cyan()),
        };
        format!(
            "  success {:5.1} % ({:.0} s: {:.1} %)  {:.1} of {} requests/s  p50 {:.1} ms, p99 {:.1} ms\n  {}{below}",
            success(&recent[recent.len().saturating_sub(NOW)..]),
            seconds,
            success(recent),
            requests as f64 / seconds.max(1e-9),
            self.rate,
            now.quantiles[0],
            now.quantiles[2],
            style(spark).green(),
        )
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(plain) = ProgressStyle::with_template("{msg}") {
        bar.set_style(plain);
    }
    bar
}

/// The share of requests that succeeded, in percent.
fn success(seconds: &[Second]) -> f64 {
    let sum = |(all, good), second: &Second| (all + second.requests, good + second.succeeded);
    let (requests, succeeded) = seconds.iter().fold((0, 0), sum);
    if requests == 0 { 0.0 } else { succeeded as f64 / requests as f64 * 100.0 }
}

fn block(ratio: Option<f64>) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    ratio.map_or('·', |ratio| BLOCKS[((ratio * 8.0) as usize).min(7)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_experiment::event::Counts;
    use meshy_experiment::latency::Quantiles;

    #[test]
    fn the_first_number_of_the_live_view_follows_a_policy_within_five_seconds() {
        let second = |succeeded| Second { length_seconds: 1.0, requests: 10, succeeded, ..Second::default() };
        let past = [second(3); 15].into_iter().chain([second(10); 5]).collect();
        let spark = Spark { past, rate: 10.0, ..Spark::default() };
        let text = spark.text();
        assert!(text.starts_with("  success 100.0 % (20 s: 47.5 %)  10.0 of 10 requests/s  p50 "), "{text}");
    }

    #[test]
    fn a_second_is_one_aligned_line_of_what_happened_since_the_tick_before() {
        let tick = |at_ms, requests, succeeded| Tick {
            at_ms,
            load: Counts { requests, succeeded, ..Counts::default() },
            latency_now: Some(Quantiles { p50_ms: 1.25, p95_ms: 20.0, p99_ms: 300.0, max_ms: 301.0 }),
            ..Tick::default()
        };
        let second = Second::between(&tick(4000, 40, 12), &tick(5000, 50, 15)).unwrap();
        assert_eq!(second.line(None), "      5s         10     30.0%    1.2ms   20.0ms  300.0ms");
        assert_eq!(Second::between(&tick(4000, 40, 12), &tick(4100, 40, 12)), None);
        let empty = Second::between(&tick(4000, 40, 12), &tick(5000, 40, 12)).unwrap();
        assert_eq!(empty.line(Some("v")), "      5s          0         -    1.2ms   20.0ms  300.0ms  v");
        assert_eq!((block(Some(0.0)), block(Some(1.0)), block(None)), ('▁', '█', '·'));
    }
}
