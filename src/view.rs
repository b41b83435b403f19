//! A run while it goes on: a subscriber of its events. A few lines on a terminal, one aligned line a second elsewhere.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ui::no_echo::NoEcho;
use crate::{steps, summary};
use console::{Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use meshy_base::Report;
use meshy_experiment::condition::{Condition, evaluate};
use meshy_experiment::event::{Change, Event, Kind, Recorder, StepStarted, Subscriber, Tick};
use meshy_experiment::run::Run;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

/// Seconds in the sparkline: what a terminal of 80 columns shows next to its label.
const SPARK: usize = 60;

/// Seconds of the first number of the live view: long enough that a few requests per second are no saw.
const NOW: usize = 5;

/// Between two looks at the events that wait.
const INTERVAL: Duration = Duration::from_millis(50);

/// Events that may wait for the view: with a look each 50 ms none is ever left out.
const WAITING: usize = 100_000;

/// Shows the events of a run and keeps them. Clones show the same run.
#[derive(Clone)]
pub struct View(Arc<Mutex<Shown>>);

struct Shown {
    report: Report,
    events: Subscriber,
    run: Run,
    /// The last tick of each variant.
    last: BTreeMap<Option<String>, Tick>,
    has_heading: bool,
    /// What steps are explained by, if they are.
    explained: Option<Vec<Condition>>,
    spark: Option<Spark>,
}

impl View {
    /// Subscribes to a run.
    pub fn of<W: Write>(recorder: &Recorder<W>, report: &Report) -> Self {
        Self(Arc::new(Mutex::new(Shown {
            report: report.clone(),
            events: recorder.subscribe(WAITING),
            run: Run::default(),
            last: BTreeMap::new(),
            has_heading: false,
            explained: None,
            spark: None,
        })))
    }

    /// Shows events as they come, for as long as the handle lives.
    pub fn start(&self) -> AbortOnDropHandle<()> {
        let view = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                view.show();
                tokio::time::sleep(INTERVAL).await;
            }
        }))
    }

    /// Shows the events that wait, in front of what the caller prints next.
    pub fn show(&self) {
        let mut shown = self.lock();
        while let Some(event) = shown.events.try_next() {
            let mut kept = event.as_ref().clone();
            if let Kind::Tick(tick) = &mut kept.kind {
                // No view draws them, and in a long run they would need the most memory.
                tick.samples.clear();
            }
            shown.run.push(kept);
            shown.event(&event);
        }
    }

    /// Explains each step of a run without variants after its end, with those of these conditions that it decides.
    pub fn explain(&self, conditions: Vec<Condition>) {
        self.lock().explained = Some(conditions);
    }

    /// Returns all events so far.
    pub fn run(&self) -> Run {
        self.show();
        self.lock().run.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn event(&mut self, event: &Event) {
        self.report.event(json!(event));
        let variant = event.variant.clone();
        match &event.kind {
            Kind::RunStarted(started) => {
                let is_plain = !Term::stderr().is_term() || !started.variants.is_empty();
                self.spark = (!is_plain).then(Spark::default);
            }
            Kind::StepStarted(started) => {
                self.last.insert(variant, Tick::default());
                if let Some(spark) = &mut self.spark {
                    spark.begin(started);
                }
            }
            Kind::Tick(tick) => {
                let last = self.last.insert(variant.clone(), tick.clone()).unwrap_or_default();
                let Some(second) = Second::between(&last, tick) else { return };
                match &mut self.spark {
                    Some(spark) => spark.add(second),
                    None => {
                        if !std::mem::replace(&mut self.has_heading, true) {
                            self.report.say("    TIME   REQUESTS   SUCCESS      P50      P95      P99");
                        }
                        self.report.say(second.line(variant.as_deref()));
                    }
                }
            }
            Kind::PolicyChanged(change) | Kind::FaultChanged(change) => self.mark(change, variant.as_deref()),
            Kind::Note(note) => self.report.say(format!("  {}{}", prefix(variant.as_deref()), note.text)),
            Kind::StepEnded(ended) => {
                self.has_heading = variant.is_some();
                // The next step may have begun already.
                if let Some(spark) = self.spark.as_mut().filter(|spark| spark.step == ended.step) {
                    spark.end();
                }
                if variant.is_none() {
                    self.explanation(&ended.step);
                }
            }
            Kind::Prediction(_) | Kind::Expectation(_) | Kind::RunEnded(_) => {}
        }
    }

    /// Says what a step showed: both views where retries were made, what was predicted, the conditions that it decides, and why.
    fn explanation(&self, name: &str) {
        let Some(conditions) = &self.explained else { return };
        let Some(step) = steps::of(&self.run).into_iter().find(|step| step.name == name) else { return };
        let results = self.run.results();
        let ended = self.run.events().iter().filter_map(|event| match &event.kind {
            Kind::StepEnded(ended) => Some(ended.step.as_str()),
            _ => None,
        });
        let ended: Vec<&str> = ended.collect();
        let decided = conditions.iter().filter(|condition| is_decided(condition, name, &ended));
        let condition_results = decided.flat_map(|condition| evaluate(condition, &results));
        let condition_results = condition_results.map(|condition_result| condition_result.to_string());
        let paragraphs = summary::result(&step).into_iter().chain(condition_results).chain(step.why);
        for line in paragraphs.flat_map(|text| summary::wrapped(&text, summary::WIDTH)) {
            self.say(line);
        }
    }

    /// Prints a line, above the bar where one is drawn.
    fn say(&self, line: String) {
        match self.spark.as_ref().and_then(|spark| spark.bar.as_ref()) {
            Some(bar) => bar.println(line),
            None => self.report.say(line),
        }
    }

    fn mark(&mut self, change: &Change, variant: Option<&str>) {
        let text = format!("{}{}", prefix(variant), change.words());
        match self.spark.as_mut().filter(|spark| spark.bar.is_some()) {
            Some(spark) => spark.mark(&text),
            None => self.report.say(format!("  -- {text}")),
        }
    }
}

/// Whether the end of a step decides a condition: it names the step, and all others that it names have ended.
fn is_decided(condition: &Condition, step: &str, ended: &[&str]) -> bool {
    let named: Vec<&str> =
        condition.operands().map(|operand| operand.step.as_deref().unwrap_or(step)).collect();
    named.contains(&step) && named.iter().all(|step| ended.contains(step))
}

fn prefix(variant: Option<&str>) -> String {
    variant.map(|variant| format!("{variant}: ")).unwrap_or_default()
}

/// What happened since the tick before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Second {
    end_seconds: f64,
    length_seconds: f64,
    requests: u64,
    succeeded: u64,
    quantiles: [f64; 3],
}

impl Second {
    /// `None` for a short rest without requests.
    fn between(last: &Tick, tick: &Tick) -> Option<Self> {
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

    /// One aligned line; the variant stands at its end.
    fn line(&self, variant: Option<&str>) -> String {
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
struct Spark {
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
    fn begin(&mut self, started: &StepStarted) {
        self.end();
        let quiet = Some(NoEcho::ctrl_c());
        let (step, rate) = (started.step.clone(), started.offered_per_second);
        *self = Self { step, quiet, rate, ..Self::default() };
    }

    fn add(&mut self, second: Second) {
        self.past.push(second);
        let text = self.text();
        self.bar.get_or_insert_with(bar).set_message(text);
    }

    fn mark(&mut self, text: &str) {
        self.marks.push(self.past.len());
        if let Some(bar) = &self.bar {
            bar.println(format!("  {} {text}", style("▲").cyan()));
        }
    }

    /// Ends the view; what it showed last stays.
    fn end(&mut self) {
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
