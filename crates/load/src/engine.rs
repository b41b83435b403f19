//! The open loop: requests begin when the plan says, whatever became of the ones before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::exchange::exchange;
use super::outcome::Outcome;
use super::record::{Recorder, Summary, Tick};
use super::target::Target;
use meshy_base::activity::{self, Kind};

/// How much traffic.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Requests per second.
    pub rate: f64,
    /// For how long.
    pub length: Duration,
    /// Connections kept open at most; so many requests can be under way at once.
    pub connections: usize,
    /// How long a request may take after it was sent. One that found no free connection for so long is not sent any more,
    /// so that a run ends even where the rate is far beyond the server: at most twice this time after its last request is
    /// due.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        // Two a second is what the original demo's budget carries at 70 % failing: every request succeeds.
        let (length, patience) = (Duration::from_secs(30), Duration::from_secs(10));
        Self { rate: 2.0, length, connections: 16, patience }
    }
}

/// A request that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When it was to start, after the start of the load.
    pub intended: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Attempts, where the test service reports them.
    pub attempts: Option<u32>,
    /// From the time at which its latency begins to the last byte of the response.
    pub latency: Duration,
}

/// Receives each request that ended, on the thread that sends.
pub type Observer = Arc<dyn Fn(Ended) + Send + Sync>;

/// How long open requests may take after the load was asked to stop.
const GRACE: Duration = Duration::from_millis(500);

struct Shared {
    observer: Option<Observer>,
    plan: Plan,
    target: Target,
    begun: Instant,
    requests: u64,
    next: AtomicU64,
    run: u64,
    recorder: Mutex<Recorder>,
    stop: watch::Receiver<bool>,
}

/// Runs the plan; `each_second` hears what happened. A `true` in `stop` ends it early; what was counted is kept.
///
/// A latency is counted from the intended start when the connections were busy then, so that a server that stalls is
/// charged for the requests it held up; and from the sending when a connection stood ready, so that it is not charged
/// for this program's timer.
///
/// The requests run on a separate thread: nothing else that this process does, such as a whole embedded cluster, comes
/// between their timers, and no request pays for being woken on another core.
pub async fn run(
    target: Target,
    plan: Plan,
    stop: watch::Receiver<bool>,
    each_second: impl FnMut(&Tick),
) -> Summary {
    run_observed(target, plan, stop, each_second, None).await
}

/// As [`run`]; the observer receives each request that ended.
pub async fn run_observed(
    target: Target,
    plan: Plan,
    stop: watch::Receiver<bool>,
    mut each_second: impl FnMut(&Tick),
    observer: Option<Observer>,
) -> Summary {
    let _sending = activity::begin(Kind::Work, format!("sending load to {}", target.address));
    let (tell, mut ticks) = mpsc::unbounded_channel();
    let (end, ended) = oneshot::channel();
    let begin = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let summary =
            runtime.expect("a runtime on one thread").block_on(drive(target, plan, stop, tell, observer));
        // There is no listener when the caller was dropped.
        let _ = end.send(summary);
    };
    std::thread::Builder::new().name("traffic".to_owned()).spawn(begin).expect("a thread");
    while let Some(tick) = ticks.recv().await {
        each_second(&tick);
    }
    ended.await.expect("the thread of the traffic does not panic")
}

async fn drive(
    target: Target,
    plan: Plan,
    stop: watch::Receiver<bool>,
    tell: mpsc::UnboundedSender<Tick>,
    observer: Option<Observer>,
) -> Summary {
    let shared = Arc::new(Shared {
        observer,
        plan,
        target,
        begun: Instant::now(),
        requests: (plan.rate * plan.length.as_secs_f64()).round() as u64,
        next: AtomicU64::new(0),
        run: rand::random(),
        recorder: Mutex::default(),
        stop,
    });
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections.max(1) {
        workers.spawn(work(shared.clone()));
    }
    let second = Duration::from_secs(1);
    let mut seconds = interval_at(shared.begun + second, second);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let lock = || shared.recorder.lock().unwrap_or_else(PoisonError::into_inner);
    let mut dropped = false;
    loop {
        tokio::select! {
            ended = workers.join_next() => if ended.is_none() { break },
            // The caller does not wait for the end any more; the workers end with the set.
            () = tell.closed() => { dropped = true; break }
            _ = seconds.tick() => {
                let tick = lock().tick(shared.begun.elapsed());
                let _ = tell.send(tick);
            }
        }
    }
    // The last request ends a little after the last intended start; the plan's length is what the rate refers to.
    let interrupted = dropped || *shared.stop.borrow();
    let elapsed = shared.begun.elapsed();
    let length = if interrupted { elapsed } else { elapsed.max(plan.length) };
    let mut recorder = lock();
    // The last second is a whole one too, though its last request ends before it.
    let last = recorder.tick(length);
    if last.requests_count > 0 {
        let _ = tell.send(last);
    }
    recorder.summary(length, plan.rate, interrupted)
}

async fn work(shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut connection = None;
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.requests || *stop.borrow() {
            return;
        }
        let intended = shared.begun + Duration::from_secs_f64(number as f64 / shared.plan.rate);
        let idle = Instant::now() <= intended;
        tokio::select! {
            () = sleep_until(intended) => {}
            // An error means that no process is left who could stop it.
            Ok(_) = stop.wait_for(|stop| *stop) => return,
        }
        let start = if idle { Instant::now() } else { intended };
        if start.elapsed() >= shared.plan.patience {
            shared.ended(intended, Outcome::NeverSent, None, start.elapsed());
            continue;
        }
        let id = format!("{:016x}{number:016x}", shared.run);
        let id = HeaderValue::from_str(&id).expect("hexadecimal digits");
        let exchange = exchange(&shared.target, &mut connection, id);
        let ended = tokio::select! {
            ended = timeout(shared.plan.patience, exchange) => ended,
            () = stopped_for(&mut stop, GRACE) => return,
        };
        let (outcome, attempts) = match ended {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                connection = None;
                (if is_exhausted(&error) { Outcome::ClientError } else { Outcome::Broken }, None)
            }
            Err(_) => {
                connection = None;
                (Outcome::TimedOut, None)
            }
        };
        shared.ended(intended, outcome, attempts, start.elapsed());
    }
}

/// Whether this machine has no file descriptor or port left, which is not a failure of the server.
fn is_exhausted(error: &anyhow::Error) -> bool {
    // ENFILE, EMFILE and EADDRNOTAVAIL of Linux.
    let codes = [23, 24, 99];
    let code =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>()?.raw_os_error();
    error.chain().filter_map(code).any(|code| codes.contains(&code))
}

/// Waits until the load was asked to stop some time ago; for ever if it is not.
async fn stopped_for(stop: &mut watch::Receiver<bool>, time: Duration) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(time).await;
}

impl Shared {
    /// Counts a request that ended.
    fn ended(&self, intended: Instant, outcome: Outcome, attempts: Option<u32>, latency: Duration) {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        recorder.record(outcome, attempts, latency);
        drop(recorder);
        if let Some(observer) = &self.observer {
            observer(Ended { intended: intended - self.begun, outcome, attempts, latency });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::ops::Range;

    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use tokio::net::TcpListener;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::rt::TokioIo;

    use super::*;

    /// A server that stalls every request which begins in the first `stall` of its life, and fails each `nth`.
    async fn server(stall: Duration, nth: u64) -> SocketAddr {
        stalling(Duration::ZERO..stall, nth).await
    }

    /// The same with a stall at any time of its life.
    async fn stalling(stall: Range<Duration>, nth: u64) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let (asleep, awake) = (Instant::now() + stall.start, Instant::now() + stall.end);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                    assert!(request.headers().contains_key("meshy-request-id"));
                    async move {
                        if Instant::now() >= asleep {
                            sleep_until(awake).await;
                        }
                        let status = if number.is_multiple_of(nth) { 500 } else { 200 };
                        let answer = Response::builder().status(status).header("meshy-attempt", 2);
                        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(b"x"))).unwrap())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
                );
            }
        });
        address
    }

    fn plan(rate: f64, millis: u64) -> Plan {
        Plan { rate, length: Duration::from_millis(millis), ..Plan::default() }
    }

    #[tokio::test]
    async fn the_plan_is_kept_and_outcomes_are_counted() {
        let target = Target::new(server(Duration::ZERO, 4).await, "x", "/").unwrap();
        let (_go, stop) = watch::channel(false);
        let summary = run(target, plan(200.0, 1_000), stop, |_| {}).await;
        assert_eq!((summary.requests_count, summary.succeeded_count), (200, 150));
        assert_eq!(summary.outcomes_count["500 Internal Server Error"], 50);
        assert_eq!((summary.attempts(), summary.attempts_succeeded_count[&2]), (400, 150));
        assert_eq!(summary.ticks.iter().map(|tick| tick.requests_count).sum::<u64>(), 200);
        assert!(!summary.interrupted);
    }

    #[tokio::test]
    async fn a_stalled_server_is_charged_for_the_requests_it_held_up() {
        // It stalls for the first half of the run: of those requests the wait falls evenly from 0.5 s to nothing, so
        // half of them, a quarter of all, wait for more than 0.25 s.
        let target = Target::new(server(Duration::from_millis(500), 1_000).await, "x", "/").unwrap();
        let (_go, stop) = watch::channel(false);
        let summary = run(target, Plan { connections: 4, ..plan(200.0, 1_000) }, stop, |_| {}).await;
        assert!(summary.latency.max_ms > 400.0, "{:?}", summary.latency);
        assert!(summary.latency.p95_ms > 350.0, "{:?}", summary.latency);
        assert_eq!(summary.requests_count, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_of_one_second_in_ten_gives_the_analytic_percentiles() {
        // A tenth of all requests begin in the stop and wait evenly between 1 s and nothing: the slowest twentieth more
        // than 0.5 s, the slowest hundredth more than 0.9 s. Only what is counted from the intended start shows that,
        // since 16 connections hold no more than 16 of the 200.
        let stop = Duration::from_millis(4_500)..Duration::from_millis(5_500);
        let target = Target::new(stalling(stop, u64::MAX).await, "x", "/").unwrap();
        let (_go, stop) = watch::channel(false);
        let (tell, _ticks) = mpsc::unbounded_channel();
        let summary = drive(target, Plan { connections: 16, ..plan(200.0, 10_000) }, stop, tell, None).await;
        assert_eq!((summary.requests_count, summary.succeeded_count), (2_000, 2_000));
        let near = |got: f64, due: f64| (got / due - 1.0).abs() < 0.01;
        assert!(near(summary.latency.p95_ms, 500.0), "{:?}", summary.latency);
        assert!(near(summary.latency.p99_ms, 900.0), "{:?}", summary.latency);
        assert!(summary.latency.p50_ms < 1.0, "{:?}", summary.latency);
    }

    #[tokio::test]
    async fn a_target_that_is_not_there_is_a_broken_connection_each_time() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (_go, stop) = watch::channel(false);
        let summary = run(Target::new(gone, "x", "/").unwrap(), plan(100.0, 100), stop, |_| {}).await;
        assert_eq!(summary.outcomes_count[&Outcome::Broken.to_string()], 10);
        assert_eq!(summary.success_ratio, Some(0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_far_beyond_the_server_ends_in_time_and_counts_each_request() {
        let target = Target::new(server(Duration::from_secs(60), 1_000).await, "x", "/").unwrap();
        let (_go, stop) = watch::channel(false);
        let (tell, _ticks) = mpsc::unbounded_channel();
        let patience = Duration::from_millis(300);
        let plan = Plan { connections: 2, patience, ..plan(5_000.0, 400) };
        let begun = Instant::now();
        let summary = drive(target, plan, stop, tell, None).await;
        // The last request is due after 400 ms; it may wait for 300 ms and take 300 ms.
        assert!(begun.elapsed() <= Duration::from_millis(1_010), "{:?}", begun.elapsed());
        let count = |outcome: Outcome| summary.outcomes_count.get(&outcome.to_string()).copied().unwrap_or(0);
        let (timed_out, never_sent) = (count(Outcome::TimedOut), count(Outcome::NeverSent));
        assert_eq!(timed_out + never_sent, 2_000);
        // Two connections, each with one request per 300 ms.
        assert!((4..=8).contains(&timed_out), "{timed_out} requests were sent");
    }

    #[tokio::test]
    async fn an_early_end_keeps_what_was_counted() {
        let target = Target::new(server(Duration::ZERO, 1_000).await, "x", "/").unwrap();
        let (go, stop) = watch::channel(false);
        let mut seconds = 0;
        let summary = run(target, plan(50.0, 60_000), stop, |_| {
            seconds += 1;
            go.send_replace(true);
        })
        .await;
        assert!(summary.interrupted);
        assert!((10..=100).contains(&summary.requests_count), "{}", summary.requests_count);
    }
}
