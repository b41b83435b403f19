//! Reading, replay and series of recorded runs.

use std::time::Duration;

use super::{MarkKind, ReadError, Run};
use crate::event::{
    Change, Counts, EdgeCounts, Event, Kind, RunEnded, RunStarted, RunStatus, StepEnded, StepStarted, Tick,
    Totals,
};

fn event(millis: u64, kind: Kind) -> Event {
    Event::new(jiff::Timestamp::UNIX_EPOCH, Duration::from_millis(millis), None, kind)
}

fn counts(requests: u64) -> (Counts, Vec<EdgeCounts>) {
    let edge = EdgeCounts {
        from: "load".to_owned(),
        to: "x".to_owned(),
        requests,
        attempts: requests * 3,
        attempts_succeeded: requests,
        ..EdgeCounts::default()
    };
    let load = Counts {
        offered: requests,
        requests,
        succeeded: requests / 2,
        in_time: requests / 2,
        ..Counts::default()
    };
    (load, vec![edge])
}

/// A step of 3.2 s that starts at 1 s, 10 requests a second.
pub(crate) fn run() -> Run {
    let mut events =
        vec![event(0, Kind::RunStarted(RunStarted { title: "A run".to_owned(), ..RunStarted::default() }))];
    let started =
        StepStarted { step: "a".to_owned(), watched: Some("x".to_owned()), ..StepStarted::default() };
    events.push(event(1000, Kind::StepStarted(started)));
    for (at_ms, requests) in [(250, 2), (1000, 10), (1750, 18), (2010, 20), (3000, 30)] {
        let (load, edges) = counts(requests);
        let tick = Tick { step: "a".to_owned(), at_ms, load, edges, ..Tick::default() };
        events.push(event(1000 + at_ms, Kind::Tick(tick)));
    }
    let change =
        Change { subject: "ServiceProfile x".to_owned(), text: "applied".to_owned(), ..Change::default() };
    events.insert(4, event(2500, Kind::PolicyChanged(change)));
    let (load, edges) = counts(32);
    let totals = Totals { duration_ms: 3200, load, edges, ..Totals::default() };
    events.push(event(
        4200,
        Kind::StepEnded(StepEnded { step: "a".to_owned(), totals, ..StepEnded::default() }),
    ));
    events.push(event(4300, Kind::RunEnded(RunEnded { status: RunStatus::Completed, reason: None })));
    Run::new(events)
}

fn file(run: &Run) -> String {
    run.events().iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

#[test]
fn a_run_is_read_as_it_was_recorded() {
    let run = run();
    let read = Run::read(file(&run).as_bytes()).unwrap();
    assert_eq!((&read, read.truncated(), read.status()), (&run, false, Some(RunStatus::Completed)));
}

#[test]
fn an_unfinished_last_line_is_left_out() {
    let text = file(&run());
    for missing in 2..60 {
        let run = Run::read(&text.as_bytes()[..text.len() - missing]).unwrap();
        assert!(run.truncated() && run.events().len() == 9 && run.status().is_none(), "{missing}");
    }
    // Only the end of the line is missing.
    assert_eq!(Run::read(&text.as_bytes()[..text.len() - 1]).unwrap().events().len(), 10);
}

#[test]
fn what_is_not_a_run_of_this_version_is_rejected_by_name() {
    let error = |text: &str| Run::read(text.as_bytes()).unwrap_err();
    let old = file(&run()).replace("\"version\":2", "\"version\":1");
    assert_eq!(error(&old).to_string(), "the run has format 1, this version of meshy reads format 2");
    assert!(matches!(error("x\n{}\n"), ReadError::Line { line: 1, .. }));
    let broken = format!("{}{{}}\n", file(&run()));
    assert!(matches!(error(&broken), ReadError::Line { line: 11, .. }));
    assert!(matches!(error(""), ReadError::Empty));
    assert!(matches!(error(&" ".repeat(5 << 20)), ReadError::TooLarge { .. }));
}

#[test]
fn a_replay_shows_each_event_once_and_can_seek() {
    let run = run();
    let by_second: Vec<usize> = run.seconds().map(<[Event]>::len).collect();
    assert_eq!(by_second, [1, 2, 3, 1, 3]);
    assert_eq!(run.until(Duration::from_secs(2)).len(), 4);
    assert_eq!(run.between(Duration::from_secs(2), Duration::from_secs(4)).len(), 4);
}

#[test]
fn series_have_a_point_a_second_and_no_short_one_at_the_end() {
    let run = run();
    let series = run.series(None);
    let lengths: Vec<f64> = series[0].points.iter().map(|point| point.length_seconds).collect();
    assert_eq!(lengths.len(), 3, "{lengths:?}");
    assert!((lengths[0] - 1.0).abs() < 1e-9 && (lengths[2] - 1.19).abs() < 1e-9, "{lengths:?}");
    let last = series[0].points[2];
    assert_eq!((last.requests, last.attempts), (12, Some(36)), "nothing is lost by merging");
    assert_eq!((last.effective(), last.actual()), (Some(0.5), Some(1.0 / 3.0)));
    assert!((series[0].end_seconds - 4.2).abs() < 1e-9);
    let marks = run.marks(None);
    assert_eq!(
        (marks.len(), marks[0].kind, marks[0].text.as_str()),
        (1, MarkKind::Policy, "ServiceProfile x applied")
    );
}
