//! Serves the page without a cluster, for its browser tests and `bench/dashboard`: a simulated run that reacts to the controls,
//! or a recorded one. Prints the URL.
//!
//! ```text
//! cargo run -p meshy-page --example simulated -- live [RATE] [hostile]
//! cargo run -p meshy-page --example simulated -- replay FILE
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use meshy_experiment::event::{
    Change, Counts, EdgeCounts, Event, Kind, Prediction, RunEnded, RunStarted, RunStatus, Sample, StepEnded,
    StepPlan, StepStarted, Tick, Totals,
};
use meshy_experiment::interval::Interval;
use meshy_experiment::latency::{Latencies, Quantiles};
use meshy_experiment::run::Run;
use meshy_page::control::{
    Acted, Breaker, Command, Controls, Details, Endpoint, Fault, Load, Mode, NotDone, Policy, Progress,
    Scenario, ServiceDetails, State, Step,
};
use meshy_page::{Hub, Report, Server};

/// Four ticks a second, as with a live view.
const TICK: Duration = Duration::from_millis(250);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["replay", file] => {
            let run = Run::read(std::io::BufReader::new(std::fs::File::open(file)?))?;
            let hub = Hub::recorded(
                &run,
                &State { mode: Mode::Replay, title: "replay".to_owned(), ..State::default() },
            );
            let server = Server::bind(hub, None, |_| Report::default()).await?;
            announce(&server);
            server.serve().await;
        }
        ["live", rest @ ..] => {
            let rate = rest.first().and_then(|rate| rate.parse().ok()).unwrap_or(20.0);
            let simulated = Arc::new(Simulated::new(rate, rest.contains(&"hostile")));
            let server =
                Server::bind(simulated.hub.clone(), Some(simulated.clone()), |_| Report::default()).await?;
            announce(&server);
            tokio::join!(server.serve(), simulated.run());
        }
        _ => return Err("expected `live [RATE] [hostile]` or `replay FILE`".into()),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the address is what the caller reads")]
fn announce(server: &Server) {
    println!("{}", server.url());
}

struct Simulated {
    hub: Arc<Hub>,
    /// The service that fails; a name of a hostile cluster on request.
    service: String,
    started: jiff::Timestamp,
    clock: tokio::time::Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    step: Option<String>,
    step_start: Duration,
    counts: Counts,
    edges: Vec<EdgeCounts>,
    random: u64,
    due: f64,
}

impl Simulated {
    fn new(rate: f64, hostile: bool) -> Self {
        let service = match hostile {
            true => format!("<img src=x onerror=alert(1)>\u{1b}[31m{}", "x".repeat(10_000)),
            false => "bounced-service".to_owned(),
        };
        let policy = Policy {
            name: "retries".to_owned(),
            title: "ServiceProfile with a retryable route".to_owned(),
            on: false,
            apply: "meshy sp apply".to_owned(),
            remove: "meshy sp delete".to_owned(),
        };
        let state = State {
            mode: Mode::Live,
            title: if hostile { service.clone() } else { "Lab meshy".to_owned() },
            allowed: true,
            load: Some(Load {
                running: true,
                rate,
                target: "minimal-service".to_owned(),
                command: "meshy traffic --rate {}".to_owned(),
            }),
            faults: vec![Fault {
                service: service.clone(),
                percent: 0,
                command: format!("meshy fault {{}} {service}"),
            }],
            policies: vec![policy],
            scenarios: vec![Scenario {
                name: "retry-budget".to_owned(),
                title: "What a retry budget does".to_owned(),
                seconds: 4.0,
                command: "meshy run retry-budget --pause".to_owned(),
                short: None,
            }],
            ..State::default()
        };
        let inner = Inner {
            state: state.clone(),
            step: None,
            step_start: Duration::ZERO,
            counts: Counts::default(),
            edges: Vec::new(),
            random: 42,
            due: 0.0,
        };
        let (started, clock) = (jiff::Timestamp::now(), tokio::time::Instant::now());
        Self { hub: Hub::live(&state), service, started, clock, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, kind: Kind) {
        self.hub.push(&Event::new(self.started, self.clock.elapsed(), None, kind));
    }

    fn publish(&self) {
        let state = self.inner().state.clone();
        self.hub.set_state(&state);
    }

    async fn run(&self) {
        let title = if self.service.len() > 100 { self.service.clone() } else { "Live".to_owned() };
        self.record(Kind::RunStarted(RunStarted {
            title,
            provider: "simulated".to_owned(),
            ..RunStarted::default()
        }));
        self.begin("live", 0);
        let endpoint = |number: usize| Endpoint {
            name: format!("{}-{number}", self.service),
            ready: true,
            breakers: vec![Breaker {
                client: "minimal-service-1".to_owned(),
                state: if number == 1 { "open" } else { "ready" }.to_owned(),
            }],
        };
        let details = ServiceDetails {
            policy: Some("retries: budget 20 %".to_owned()),
            policy_text: Some(
                "kind: ServiceProfile\nspec:\n  retryBudget:\n    retryRatio: 0.2\n".to_owned(),
            ),
            command: Some("meshy policy show bounced-service".to_owned()),
            endpoints: vec![endpoint(1), endpoint(2)],
        };
        let services = BTreeMap::from([(self.service.clone(), details)]);
        self.hub.set_details(&Details { services, edges: Vec::new() });
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn begin(&self, step: &str, duration_ms: u64) {
        let started = StepStarted {
            step: step.to_owned(),
            target: Some("minimal-service".to_owned()),
            watched: Some(self.service.clone()),
            duration_ms,
            ..StepStarted::default()
        };
        {
            let mut inner = self.inner();
            inner.step = Some(step.to_owned());
            inner.step_start = self.clock.elapsed();
            inner.counts = Counts::default();
            let edge = |from: &str, to: &str| EdgeCounts {
                from: from.to_owned(),
                to: to.to_owned(),
                attempts_mutual_tls: Some(0),
                ..EdgeCounts::default()
            };
            inner.edges = vec![edge("load", "minimal-service"), edge("minimal-service", &self.service)];
        }
        self.record(Kind::StepStarted(started));
        let success = Some(Interval { mean: 0.8, low: 0.72, high: 0.88 });
        self.record(Kind::Prediction(Prediction { step: step.to_owned(), success, ..Prediction::default() }));
    }

    fn end(&self, step: &str, why: &str) {
        let (load, edges, duration_ms) = {
            let inner = self.inner();
            (
                inner.counts.clone(),
                inner.edges.clone(),
                millis(self.clock.elapsed().saturating_sub(inner.step_start)),
            )
        };
        let latencies = Latencies::from_counts([(5000, load.requests)]);
        let totals = Totals { duration_ms, load, edges, latencies, ..Totals::default() };
        let why = Some(why.to_owned());
        self.record(Kind::StepEnded(StepEnded { step: step.to_owned(), totals, interrupted: false, why }));
    }

    fn tick(&self) {
        let tick = {
            let mut inner = self.inner();
            let Some(step) = inner.step.clone() else { return };
            let at_ms = millis(self.clock.elapsed().saturating_sub(inner.step_start));
            let samples = inner.requests(at_ms);
            let now = Quantiles { p50_ms: 4.0, p95_ms: 12.0, p99_ms: 24.0, max_ms: 40.0 };
            Tick {
                step,
                at_ms,
                load: inner.counts.clone(),
                latency_now: (!samples.is_empty()).then_some(now),
                latency: Some(now),
                edges: inner.edges.clone(),
                samples,
                ..Tick::default()
            }
        };
        self.record(Kind::Tick(tick));
    }

    fn change(&self, fault: bool, subject: &str, text: &str) {
        let change =
            Change { subject: subject.to_owned(), text: text.to_owned(), ends: false, command: None };
        self.record(if fault { Kind::FaultChanged(change) } else { Kind::PolicyChanged(change) });
    }

    /// A scenario of two steps, each of which waits for the viewer.
    async fn scenario(&self, command: Command) -> Result<(), NotDone> {
        let step = |name: &str, title: &str| Step {
            name: name.to_owned(),
            title: title.to_owned(),
            text: Some("Half of the requests fail. The client retries while its budget lasts.".to_owned()),
            question: Some("How many requests will succeed?".to_owned()),
            note: Some("Ask the audience before the step starts.".to_owned()),
            why: None,
            seconds: 2.0,
        };
        match command {
            Command::Run { scenario, .. } => {
                let steps = vec![step("without", "Without a budget"), step("with", "With a budget")];
                let plans = steps.iter().map(|one| StepPlan {
                    step: one.name.clone(),
                    title: Some(one.title.clone()),
                    duration_ms: 2000,
                });
                let started = RunStarted {
                    title: "What a retry budget does".to_owned(),
                    scenario: Some(scenario.clone()),
                    steps: plans.collect(),
                    ..RunStarted::default()
                };
                self.inner().step = None;
                self.record(Kind::RunStarted(started));
                self.inner().state.run = Some(Progress {
                    name: scenario,
                    title: "What a retry budget does".to_owned(),
                    steps,
                    current: 0,
                    waiting: true,
                    over: false,
                    command: "meshy run retry-budget --pause".to_owned(),
                });
            }
            Command::Next => {
                let name = {
                    let mut inner = self.inner();
                    let Some(run) = inner.state.run.as_mut().filter(|run| run.waiting) else {
                        return Err(NotDone("no step waits".to_owned()));
                    };
                    run.waiting = false;
                    run.steps[run.current].name.clone()
                };
                self.publish();
                self.begin(&name, 2000);
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.inner().step = None;
                self.end(&name, "The budget allows one retry for five requests.");
                let mut inner = self.inner();
                if let Some(run) = inner.state.run.as_mut() {
                    run.current += 1;
                    run.waiting = run.current < run.steps.len();
                    run.over = !run.waiting;
                    if !run.waiting {
                        drop(inner);
                        let ended = RunEnded { status: RunStatus::Completed, reason: None };
                        self.record(Kind::RunEnded(ended));
                    }
                }
            }
            Command::Look { .. } => {}
            _ => self.inner().state.run = None,
        }
        self.publish();
        Ok(())
    }
}

impl Inner {
    /// Counts the requests of one tick. Each fails as often as the slider says; retries hide half of that.
    fn requests(&mut self, at_ms: u64) -> Vec<Sample> {
        let Some(load) = self.state.load.as_ref().filter(|load| load.running) else { return Vec::new() };
        self.due += load.rate * TICK.as_secs_f64();
        let retries = self.state.policies.iter().any(|policy| policy.on);
        let fails = f64::from(self.state.faults[0].percent) / 100.0;
        let mut samples = Vec::new();
        while self.due >= 1.0 {
            self.due -= 1.0;
            let mut attempts = 1;
            let mut succeeded = self.chance() >= fails;
            while retries && !succeeded && attempts < 4 {
                attempts += 1;
                succeeded = self.chance() >= fails;
            }
            self.counts.offered += 1;
            self.counts.requests += 1;
            self.counts.succeeded += u64::from(succeeded);
            for (index, edge) in self.edges.iter_mut().enumerate() {
                let made = if index == 0 { 1 } else { u64::from(attempts) };
                edge.requests += 1;
                edge.succeeded += u64::from(succeeded);
                edge.attempts += made;
                edge.attempts_succeeded += u64::from(succeeded);
                edge.attempts_mutual_tls = edge.attempts_mutual_tls.map(|count| count + made);
            }
            let latency_ms = 3.0 + self.chance() * 30.0 * f64::from(attempts);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a test")]
            let start_ms = at_ms as f64;
            let status = if succeeded { 200 } else { 500 };
            samples.push(Sample { start_ms, latency_ms, status, succeeded, attempts: Some(attempts) });
        }
        samples
    }

    /// A number from 0 to 1 by a linear congruence: the same in each run.
    fn chance(&mut self) -> f64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

impl Controls for Simulated {
    fn act(&self, command: Command) -> Acted<'_> {
        Box::pin(async move {
            match command {
                Command::Load { rate } => {
                    if let Some(load) = &mut self.inner().state.load {
                        (load.running, load.rate) = (true, rate);
                    }
                    self.change(true, "load", &format!("{rate} requests per second"));
                }
                Command::StopLoad => {
                    if let Some(load) = &mut self.inner().state.load {
                        load.running = false;
                    }
                }
                Command::Fault { service, percent } => {
                    self.inner().state.faults[0].percent = percent;
                    self.change(true, &service, &format!("{percent} % of requests fail"));
                }
                Command::Policy { name, on } => {
                    self.inner().state.policies[0].on = on;
                    self.change(false, &name, if on { "applied" } else { "removed" });
                }
                other => return self.scenario(other).await,
            }
            self.publish();
            Ok(())
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
