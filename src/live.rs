//! Traffic while it runs: a view of a few lines on a terminal, one aligned line a second elsewhere.

use std::cell::RefCell;

use console::{Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use meshy_load::Tick;

use crate::measure::View;
use crate::ui::hush::Hush;
use meshy_base::Report;

/// Seconds in the sparkline: what a terminal of 80 columns shows next to its label.
const SPARK: usize = 60;

/// Shows each second.
pub struct Live {
    report: Report,
    bar: Option<ProgressBar>,
    past: RefCell<Vec<Tick>>,
    marks: RefCell<Vec<usize>>,
    rate: f64,
    _quiet: Option<Hush>,
}

impl Live {
    /// A view for traffic at this rate.
    pub fn new(report: &Report, rate: f64) -> Self {
        let bar = Term::stderr().is_term().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template("{msg}").expect("a fixed template"));
            bar
        });
        let quiet = bar.as_ref().map(|_| Hush::ctrl_c());
        if bar.is_none() {
            report.say("    TIME   REQUESTS   SUCCESS      P50      P95      P99");
        }
        Self {
            report: report.clone(),
            bar,
            past: RefCell::default(),
            marks: RefCell::default(),
            rate,
            _quiet: quiet,
        }
    }

    /// Ends the view; what it showed last stays.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    fn view(&self) -> String {
        let past = self.past.borrow();
        let recent = &past[past.len().saturating_sub(SPARK)..];
        let from = past.len() - recent.len();
        let (requests, succeeded) =
            recent.iter().fold((0, 0), |(r, s), tick| (r + tick.requests_count, s + tick.succeeded_count));
        let success = if requests == 0 { 0.0 } else { succeeded as f64 / requests as f64 * 100.0 };
        let seconds: f64 = recent.iter().map(|tick| tick.length_seconds).sum();
        let last = past.last().map(|tick| tick.latency).unwrap_or_default();
        let spark: String = recent.iter().map(|tick| block(tick.success_ratio())).collect();
        let marks = self.marks.borrow();
        let below: String =
            (0..recent.len()).map(|at| if marks.contains(&(at + from)) { '▲' } else { ' ' }).collect();
        let below = match below.trim_end() {
            "" => String::new(),
            below => format!("\n  {}", style(below).cyan()),
        };
        format!(
            "  success {success:5.1} %   {:.1} of {} requests/s   now p50 {:.1} ms, p99 {:.1} ms\n  {}{below}",
            requests as f64 / seconds.max(1e-9),
            self.rate,
            last.p50_ms,
            last.p99_ms,
            style(spark).green(),
        )
    }
}

impl View for Live {
    fn mark(&self, what: &str) {
        self.marks.borrow_mut().push(self.past.borrow().len());
        match &self.bar {
            Some(bar) => bar.println(format!("  {} {what}", style("▲").cyan())),
            None => self.report.say(format!("  -- {what}")),
        }
        self.report.event(json!({"event": "mark", "text": what}));
    }

    fn tick(&self, tick: &Tick) {
        self.report.event(json!({
            "event": "second", "at_seconds": tick.at_seconds, "requests_count": tick.requests_count,
            "success_ratio": tick.success_ratio(), "latency": tick.latency,
        }));
        self.past.borrow_mut().push(*tick);
        match &self.bar {
            Some(bar) => bar.set_message(self.view()),
            None => self.report.say(line(tick)),
        }
    }
}

/// One aligned line for a second.
fn line(tick: &Tick) -> String {
    let success = tick.success_ratio().map_or("-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0));
    format!(
        "{:>7.0}s {:>10} {success:>9} {:>6.1}ms {:>6.1}ms {:>6.1}ms",
        tick.at_seconds + tick.length_seconds,
        tick.requests_count,
        tick.latency.p50_ms,
        tick.latency.p95_ms,
        tick.latency.p99_ms
    )
}

fn block(ratio: Option<f64>) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    ratio.map_or('·', |ratio| BLOCKS[((ratio * 8.0) as usize).min(7)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_load::Latency;

    #[test]
    fn a_second_is_one_aligned_line() {
        let latency = Latency { p50_ms: 1.25, p95_ms: 20.0, p99_ms: 300.0, max_ms: 301.0 };
        let tick =
            Tick { at_seconds: 4.0, length_seconds: 1.0, requests_count: 10, succeeded_count: 3, latency };
        assert_eq!(line(&tick), "      5s         10     30.0%    1.2ms   20.0ms  300.0ms");
        assert_eq!(line(&Tick::default()).len(), line(&tick).len());
        assert_eq!((block(Some(0.0)), block(Some(1.0)), block(None)), ('▁', '█', '·'));
    }
}
