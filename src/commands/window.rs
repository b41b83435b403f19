//! Which requests a table shows: those of a window that is watched now, of the last recorded load, or all since the proxies
//! started. Every table names the one.

mod prometheus;

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::context::Context;
use crate::last_load::{self, LastLoad};
use crate::runs;
use crate::ui::Screen;
use meshy_base::{duration, limit};
use meshy_metrics::{Pod, Rolling, Scrapes, Window, scrape::POD_DEADLINE, scrape_pods};
pub(crate) use prometheus::PrometheusArgs;

/// How long requests are watched for without `--window`, before a recorded load is shown instead.
pub(super) const BRIEFLY: Duration = Duration::from_secs(2);

/// How long the window of `--watch` is without `--window`.
const WATCHED: Duration = Duration::from_secs(10);

/// Where and how long to look; shared by the tables.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct WindowArgs {
    /// The namespace
    #[arg(long, short, default_value = "default", conflicts_with = "all_namespaces")]
    pub(super) namespace: String,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub(super) all_namespaces: bool,
    #[command(flatten)]
    pub(super) time: Time,
    #[command(flatten)]
    pub(super) history: PrometheusArgs,
}

impl WindowArgs {
    /// Returns the time for which requests are watched.
    pub(super) fn planned(&self) -> Duration {
        self.history.planned(&self.time)
    }
}

/// How long to look, and how often.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Time {
    /// Watch requests for this long; 0s: all since each proxy's start [default: 2s; without requests, the last recorded load]
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(super) window: Option<Duration>,
    /// Show the last seconds again each second, until ctrl-C [default window: 10s]
    #[arg(long, short)]
    pub(super) watch: bool,
}

/// What a table shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "snake_case")]
pub(super) enum Source {
    /// Requests of a window that ended now.
    Window { length_seconds: f64 },
    /// Requests of the last recorded load.
    Run { run: String, command: String, length_seconds: f64, age_seconds: f64 },
    /// All requests since each proxy started.
    Start,
    /// Requests of the last window as a Prometheus has them; zero is all since each proxy started.
    Prometheus { url: String, length_seconds: f64 },
}

/// A document with its source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Table<T> {
    pub(super) source: Source,
    pub(super) rows: Vec<T>,
}

impl Time {
    /// Returns the time for which requests are watched.
    pub(super) fn planned(&self) -> Duration {
        self.window.unwrap_or(if self.watch { WATCHED } else { BRIEFLY })
    }

    /// Watches the proxies of the pods. Without `--window` and without requests (`counted` finds none), returns the last recorded
    /// load in which it finds some, else all since the proxies started.
    async fn read(
        &self,
        context: &Context,
        client: &kube::Client,
        pods: &[Pod],
        counted: impl Fn(&Window) -> bool,
    ) -> (Window, Source) {
        if self.window == Some(Duration::ZERO) {
            return (Window::since_start(&scrape(client, pods).await), Source::Start);
        }
        let length = self.planned();
        let step = context.report.step("Watching", format!("the proxies for {:.0} s", length.as_secs_f64()));
        let before = scrape(client, pods).await;
        sleep(context.window(length)).await;
        let after = scrape(client, pods).await;
        let watched = Window::between(&before, &after);
        step.done(format!("{} proxies", after.pods.len()));
        if self.window.is_some() || counted(&watched) {
            let source = Source::window(&watched);
            return (watched, source);
        }
        if let Some((load, window)) = recorded(context, pods)
            && counted(&window)
        {
            let source = Source::run(&load, &window);
            return (window, source);
        }
        (Window::since_start(&after), Source::Start)
    }
}

/// Returns the last recorded load of the lab; a file that cannot be read is a warning.
pub(super) fn recorded(context: &Context, pods: &[Pod]) -> Option<(LastLoad, Window)> {
    runs::folder().and_then(|folder| last_load::of(&folder, &context.name, pods)).unwrap_or_else(|error| {
        context.report.warn(format!("the last recorded load is not shown: {error:#}"));
        None
    })
}

async fn scrape(client: &kube::Client, pods: &[Pod]) -> Scrapes {
    scrape_pods(client, pods.to_vec(), POD_DEADLINE).await
}

impl Source {
    pub(super) fn window(window: &Window) -> Self {
        Self::Window { length_seconds: window.length.as_secs_f64() }
    }

    pub(super) fn run(load: &LastLoad, window: &Window) -> Self {
        Self::Run {
            run: load.run.clone(),
            command: load.command.clone(),
            length_seconds: window.length.as_secs_f64(),
            age_seconds: load.age_seconds(),
        }
    }

    /// Returns the line above a table. `empty`: the table has no requests.
    pub(super) fn words(&self, empty: bool) -> String {
        match self {
            Self::Window { length_seconds } if empty => format!(
                "No requests in the last {length_seconds:.0} s. Send some with `meshy traffic` in a second terminal; without `--window` \
                 the last recorded load is shown."
            ),
            Self::Window { length_seconds } => format!("Requests of the last {length_seconds:.0} s."),
            Self::Run { run, command, length_seconds, age_seconds } => format!(
                "No requests in the last 2 s; showing run {run} (`meshy {command}`, {length_seconds:.0} s, ended {} ago).",
                brief(*age_seconds)
            ),
            Self::Start if empty => {
                "No requests since the proxies started. Send some with `meshy traffic`.".to_owned()
            }
            Self::Start => "All requests since the proxies started.".to_owned(),
            Self::Prometheus { url, length_seconds } => {
                let requests = if empty { "No requests" } else { "Requests" };
                match *length_seconds > 0.0 {
                    true => format!("{requests} of the {length_seconds:.0} s before now, from {url}."),
                    false => format!("{requests} since the proxies started, from {url}."),
                }
            }
        }
    }
}

/// Seconds in the largest unit that fits.
fn brief(seconds: f64) -> String {
    match seconds as u64 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Windows that end now, one each second, for as long as the command runs.
struct Watch {
    scrapes: Rolling<Scrapes>,
    next: Option<Instant>,
    from_start: bool,
}

impl Watch {
    /// Prepares the windows of `--watch`.
    fn new(time: &Time) -> Self {
        Self {
            scrapes: Rolling::new(time.planned()),
            next: None,
            from_start: time.window == Some(Duration::ZERO),
        }
    }

    /// Waits for the next second and returns the window that ends then.
    async fn next(&mut self, client: &kube::Client, pods: &[Pod]) -> (Window, Source) {
        if self.next.is_none() && !self.from_start {
            self.scrapes.push(scrape(client, pods).await);
            self.next = Some(Instant::now() + Rolling::<Scrapes>::STEP);
        }
        second(&mut self.next).await;
        let now = scrape(client, pods).await;
        if self.from_start {
            return (Window::since_start(&now), Source::Start);
        }
        self.scrapes.push(now);
        let window = self.scrapes.ends().map(|(first, last)| Window::between(first, last));
        let window =
            window.unwrap_or_else(|| Window { length: Duration::ZERO, pods: Vec::new(), gaps: Vec::new() });
        let source = Source::window(&window);
        (window, source)
    }
}

/// Reads the windows of a table: from a Prometheus, each second with `--watch`, or once.
pub(super) struct Reader<'a> {
    time: &'a Time,
    history: &'a PrometheusArgs,
    watch: Watch,
}

impl<'a> Reader<'a> {
    /// Prepares the windows that the flags ask for.
    pub(super) fn new(time: &'a Time, history: &'a PrometheusArgs) -> Self {
        Self { time, history, watch: Watch::new(time) }
    }

    /// Returns the next window of these pods. `counted` returns whether one has requests.
    ///
    /// # Errors
    /// The Prometheus is not usable.
    pub(super) async fn next(
        &mut self,
        context: &Context,
        client: &kube::Client,
        pods: &[Pod],
        counted: impl Fn(&Window) -> bool,
    ) -> anyhow::Result<(Window, Source)> {
        if let Some(read) = self.history.read(self.time, pods).await? {
            return Ok(read);
        }
        Ok(match self.time.watch {
            true => self.watch.next(client, pods).await,
            false => self.time.read(context, client, pods, counted).await,
        })
    }
}

/// Waits until the next second of a table that is shown each second; the first one is shown at once.
pub(super) async fn second(next: &mut Option<Instant>) {
    if let Some(at) = *next {
        sleep_until(at).await;
    }
    // A cluster that responds slowly makes fewer tables, not a queue of them.
    *next = Some(Instant::now() + Rolling::<Scrapes>::STEP);
}

/// Whether the next table of `--watch` is to be shown: it is until the time of the command is over.
pub(super) fn goes_on(context: &Context, watch: bool) -> bool {
    let more = watch && !context.remaining().is_zero();
    if more {
        limit::lift();
    }
    more
}

/// Shows a table of `--watch` in the place of the one before, on a terminal.
pub(super) fn clear(context: &Context, watch: bool) {
    let screen = Screen::stdout();
    if watch && !context.json() && screen.is_terminal() {
        // What cannot be cleared is followed by the next table.
        let _ = screen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_which_requests_it_shows() {
        let run = Source::Run {
            run: "20261129-150000-000".to_owned(),
            command: "traffic".to_owned(),
            length_seconds: 20.0,
            age_seconds: 185.0,
        };
        assert_eq!(
            run.words(false),
            "No requests in the last 2 s; showing run 20261129-150000-000 (`meshy traffic`, 20 s, ended 3 min ago)."
        );
        assert!(Source::Window { length_seconds: 2.0 }.words(true).contains("`meshy traffic`"));
        assert_eq!(Source::Start.words(false), "All requests since the proxies started.");
        let source = Source::Prometheus { url: "http://p:9090".to_owned(), length_seconds: 60.0 };
        assert_eq!(source.words(true), "No requests of the 60 s before now, from http://p:9090.");
    }
}
