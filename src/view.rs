//! A run while it goes on: a subscriber of its events. A few lines on a terminal (`ui::spark`), one aligned line a second elsewhere.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ui::Screen;
use crate::ui::spark::{Second, Spark};
use crate::{steps, summary};
use meshy_base::Report;
use meshy_experiment::condition::{Condition, evaluate};
use meshy_experiment::event::{Change, Event, Kind, Recorder, Subscriber, Tick, Verdict};
use meshy_experiment::run::Run;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

/// Between two looks at the events that wait.
const INTERVAL: Duration = Duration::from_millis(50);

/// Events that may wait for the view: with a look each 50 ms none is ever left out.
const WAITING: usize = 100_000;

/// Shows the events of a run and keeps them. Clones show the same run.
#[derive(Clone)]
pub(crate) struct View(Arc<Mutex<Shown>>);

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
    pub(crate) fn of<W: Write>(recorder: &Recorder<W>, report: &Report) -> Self {
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
    pub(crate) fn start(&self) -> AbortOnDropHandle<()> {
        let view = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                view.show();
                tokio::time::sleep(INTERVAL).await;
            }
        }))
    }

    /// Shows the events that wait, in front of what the caller prints next.
    pub(crate) fn show(&self) {
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
    pub(crate) fn explain(&self, conditions: Vec<Condition>) {
        self.lock().explained = Some(conditions);
    }

    /// Returns all events so far.
    pub(crate) fn run(&self) -> Run {
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
                let is_plain = !Screen::stderr().is_terminal() || !started.variants.is_empty();
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
                if let Some(spark) = self.spark.as_mut().filter(|spark| spark.step() == ended.step) {
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
        let Some(mut step) = steps::of(&self.run).into_iter().find(|step| step.name == name) else { return };
        let results = self.run.results();
        let ended = self.run.events().iter().filter_map(|event| match &event.kind {
            Kind::StepEnded(ended) => Some(ended.step.as_str()),
            _ => None,
        });
        let ended: Vec<&str> = ended.collect();
        let decided = conditions.iter().filter(|condition| is_decided(condition, name, &ended));
        let condition_results: Vec<_> = decided.flat_map(|condition| evaluate(condition, &results)).collect();
        // The text explains the expected result, and would contradict another one.
        let is_expected = condition_results.iter().all(|result| result.verdict != Verdict::NotMet);
        let why = step.why.take_if(|_| is_expected);
        let condition_results = condition_results.into_iter().map(|result| result.to_string());
        let paragraphs = summary::result(&step).into_iter().chain(condition_results).chain(why);
        for line in paragraphs.flat_map(|text| summary::wrapped(&text, summary::WIDTH)) {
            self.say(line);
        }
    }

    /// Prints a line, above the bar where one is drawn.
    fn say(&self, line: String) {
        match self.spark.as_ref().filter(|spark| spark.is_drawn()) {
            Some(spark) => spark.say(&line),
            None => self.report.say(line),
        }
    }

    fn mark(&mut self, change: &Change, variant: Option<&str>) {
        let text = format!("{}{}", prefix(variant), change.words());
        match self.spark.as_mut().filter(|spark| spark.is_drawn()) {
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
