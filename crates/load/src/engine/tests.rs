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
use crate::Target;
use crate::plan::Share;

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
    let summary = run(target, plan(200.0, 1_000), stop, |_| {}).await.unwrap();
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
    let summary = run(target, Plan { connections: 4, ..plan(200.0, 1_000) }, stop, |_| {}).await.unwrap();
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
    let summary = run(Target::new(gone, "x", "/").unwrap(), plan(100.0, 100), stop, |_| {}).await.unwrap();
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
    .await
    .unwrap();
    assert!(summary.interrupted);
    assert!((10..=100).contains(&summary.requests_count), "{}", summary.requests_count);
}

#[tokio::test(start_paused = true)]
async fn senders_of_shares_send_each_request_once_and_their_reports_merge() {
    let target = Target::new(server(Duration::ZERO, 4).await, "x", "/").unwrap();
    let (_go, stop) = watch::channel(false);
    let start = Instant::now() + Duration::from_secs(1);
    let each = (0..4).map(|index| {
        let plan = Plan { share: Share { index, of: 4 }, ..plan(200.0, 5_000) };
        let (network, recorder) = (Arc::new(Tcp), Arc::default());
        let with = Sending { network, origin: start, start, recorder, stop: stop.clone() };
        send(target.clone().into(), plan, with)
    });
    let finished = futures_join(each).await;
    let mut merged = Report::default();
    for one in &finished {
        assert_eq!((one.report.requests(), one.interrupted), (250, false));
        merged.merge(&one.report);
    }
    let summary = merged.summary(Duration::from_secs(5), 200.0, false);
    assert_eq!((summary.requests_count, summary.succeeded_count, summary.ticks.len()), (1_000, 750, 5));
    assert!(summary.ticks.iter().all(|tick| tick.requests_count == 200), "{:?}", summary.ticks);
}

async fn futures_join<F: Future<Output = Finished> + Send + 'static>(
    each: impl Iterator<Item = F>,
) -> Vec<Finished> {
    let mut set = JoinSet::new();
    each.for_each(|one| drop(set.spawn(one)));
    set.join_all().await
}
