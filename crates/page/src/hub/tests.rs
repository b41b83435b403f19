//! What viewers get: all of the past, bounded, in order.

use std::time::Duration;

use meshy_experiment::event::{
    Counts, Kind, Note, Recorder, RunStarted, Sample, StepEnded, StepStarted, Tick, Totals,
};
use serde_json::Value;

use super::*;

fn event(millis: u64, kind: Kind) -> Event {
    Event::new("2026-01-02T03:04:05Z".parse().unwrap(), Duration::from_millis(millis), None, kind)
}

fn tick(number: u64) -> Event {
    let load = Counts { requests: number * 10, succeeded: number * 9, ..Counts::default() };
    let samples = vec![Sample { status: 200, succeeded: true, ..Sample::default() }; 20];
    event(
        number * 250,
        Kind::Tick(Tick { step: "a".to_owned(), at_ms: number * 250, load, samples, ..Tick::default() }),
    )
}

fn ended(requests: u64) -> Event {
    let load = Counts { requests, ..Counts::default() };
    let totals = Totals { load, ..Totals::default() };
    event(1_000_000, Kind::StepEnded(StepEnded { step: "a".to_owned(), totals, ..StepEnded::default() }))
}

fn run_started(title: &str) -> Event {
    event(0, Kind::RunStarted(RunStarted { title: title.to_owned(), ..RunStarted::default() }))
}

/// Reads everything that a viewer at a position gets without waiting.
fn drain(hub: &Hub, position: &mut Position) -> Vec<Value> {
    let mut events = Vec::new();
    while let Some(Some(message)) = futures::FutureExt::now_or_never(hub.next(position)) {
        if let Message::Events(text) = message {
            let Value::Array(more) = serde_json::from_slice(&text).unwrap() else { panic!("a list") };
            events.extend(more);
        }
    }
    events
}

#[tokio::test]
async fn a_new_viewer_gets_all_past_ticks_and_then_what_follows() {
    let hub = Hub::live(&State::default());
    hub.push(&run_started("x"));
    (1..=1000).for_each(|number| hub.push(&tick(number)));
    let mut position = Position::default();
    assert_eq!(drain(&hub, &mut position).len(), 1001);
    hub.push(&tick(1001));
    let next = drain(&hub, &mut position);
    assert_eq!(next[0]["load"]["requests"], 10_010);
    let mut reloaded = Position::default();
    assert_eq!(drain(&hub, &mut reloaded).len(), 1002, "a reload loses nothing");
}

#[tokio::test]
async fn sampled_requests_are_kept_for_the_last_ticks_of_a_live_run_only() {
    let hub = Hub::live(&State::default());
    (1..=1000).for_each(|number| hub.push(&tick(number)));
    let events = drain(&hub, &mut Position::default());
    let sampled = events.iter().filter(|event| event.get("samples").is_some()).count();
    assert_eq!(sampled, SAMPLED_TICKS);
    assert!(events[999].get("samples").is_some() && events[0].get("samples").is_none());
}

#[tokio::test]
async fn a_new_run_replaces_the_one_before() {
    let hub = Hub::live(&State::default());
    hub.push(&run_started("first"));
    hub.push(&tick(1));
    let mut position = Position::default();
    drain(&hub, &mut position);
    hub.push(&run_started("second"));
    let titles: Vec<Value> = drain(&hub, &mut position);
    assert_eq!((titles.len(), &titles[0]["title"]), (1, &Value::from("second")));
}

#[test]
fn history_is_bounded_and_keeps_the_last_tick_and_every_other_event() {
    let mut history = History::with_limit(40_000);
    history.push(&run_started("x"));
    for number in 1..=2000 {
        history.push(&tick(number));
    }
    history.push(&ended(20_003));
    let (events, _) = history.after(0, usize::MAX);
    let size: usize = events.iter().map(Bytes::len).sum();
    assert!(size <= 40_000, "{size}");
    let last: Vec<Value> = events.iter().rev().take(2).map(|e| serde_json::from_slice(e).unwrap()).collect();
    assert_eq!(last[0]["totals"]["load"]["requests"], 20_003);
    assert_eq!(last[1]["load"]["requests"], 20_000, "the last tick of the step stays");
    let first: Value = serde_json::from_slice(&events[0]).unwrap();
    assert_eq!(first["type"], "run-started");
}

#[test]
fn a_history_without_ticks_ends_to_make_room() {
    let mut history = History::with_limit(1000);
    (0..100).for_each(|_| history.push(&event(0, Kind::Note(Note { text: "x".repeat(50) }))));
    assert_eq!(history.after(0, usize::MAX).0.len(), 100, "only ticks and samples can be left out");
}

#[tokio::test]
async fn a_viewer_that_does_not_read_delays_no_other() {
    let hub = Hub::live(&State::default());
    let recorder = Recorder::new(std::io::sink(), "2026-01-02T03:04:05Z".parse().unwrap());
    let following = tokio::spawn({
        let (hub, events) = (hub.clone(), recorder.subscribe(256));
        async move { hub.follow(events).await }
    });
    let mut slow = Position::default();
    hub.next(&mut slow).await;
    let kind = Kind::StepStarted(StepStarted { step: "a".to_owned(), ..StepStarted::default() });
    recorder.record(Duration::ZERO, None, kind).unwrap();
    for number in 1..=500 {
        recorder.record(Duration::from_millis(number), None, tick(number).kind).unwrap();
        tokio::task::yield_now().await;
    }
    recorder.record(Duration::from_secs(600), None, ended(5003).kind).unwrap();
    drop(recorder);
    following.await.unwrap();
    let seen = drain(&hub, &mut slow);
    assert_eq!(seen.last().unwrap()["totals"]["load"]["requests"], 5003);
}

#[tokio::test]
async fn messages_have_a_size_that_a_browser_takes_at_once() {
    let hub = Hub::live(&State::default());
    (1..=2000).for_each(|number| hub.push(&tick(number)));
    let mut position = Position::default();
    let mut largest = 0;
    while let Some(Some(message)) = futures::FutureExt::now_or_never(hub.next(&mut position)) {
        largest = largest.max(message.parts().1.len());
    }
    assert!(largest <= MESSAGE + 4096, "{largest}");
}

#[tokio::test]
async fn a_closed_hub_ends_its_streams() {
    let hub = Hub::live(&State::default());
    hub.push(&run_started("x"));
    hub.close();
    let mut position = Position::default();
    assert_eq!(drain(&hub, &mut position).len(), 1, "what came before is sent");
    assert_eq!(hub.next(&mut position).await, None);
}
