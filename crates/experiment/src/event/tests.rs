//! The recorder and its subscribers.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{
    Change, Counts, Event, Kind, Note, Recorder, Results, RunEnded, RunStatus, Sample, StepEnded,
    StepStarted, Tick, Totals,
};
use crate::run::Run;

/// A writer that keeps what it got.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl File {
    fn run(&self) -> Run {
        Run::read(self.0.lock().unwrap().as_slice()).unwrap()
    }
}

fn recorder() -> (File, Recorder<File>) {
    let file = File::default();
    (file.clone(), Recorder::new(file, jiff::Timestamp::UNIX_EPOCH))
}

fn tick(number: u64) -> Kind {
    let load = Counts { requests: number * 10, succeeded: number * 3, ..Counts::default() };
    Kind::Tick(Tick { step: "a".to_owned(), at_ms: number * 250, load, ..Tick::default() })
}

fn record(recorder: &Recorder<File>, millis: u64, kind: Kind) {
    recorder.record(Duration::from_millis(millis), None, kind).unwrap();
}

#[tokio::test]
async fn a_slow_subscriber_misses_ticks_and_ends_with_the_same_numbers() {
    let (file, recorder) = recorder();
    let view = recorder.subscribe(1);
    record(&recorder, 0, Kind::StepStarted(StepStarted { step: "a".to_owned(), ..StepStarted::default() }));
    for number in 1..=1000 {
        record(&recorder, number * 250, tick(number));
    }
    let change = Change { subject: "x".to_owned(), text: "applied".to_owned(), ..Change::default() };
    record(&recorder, 250_001, Kind::PolicyChanged(change));
    let load = Counts { requests: 10_001, succeeded: 3001, ..Counts::default() };
    let totals = Totals { duration_ms: 250_002, load, ..Totals::default() };
    record(
        &recorder,
        250_002,
        Kind::StepEnded(StepEnded { step: "a".to_owned(), totals, ..StepEnded::default() }),
    );
    drop(recorder);

    let mut seen = Vec::new();
    while let Some(event) = view.next().await {
        seen.push(event.as_ref().clone());
    }
    assert!(seen.len() < 100 && view.skipped_ticks() > 900 && view.lost() == 0, "{}", seen.len());
    let others = |events: &[Event]| events.iter().filter(|e| !matches!(e.kind, Kind::Tick(_))).count();
    let recorded = file.run();
    assert_eq!((others(&seen), recorded.events().len()), (3, 1003));
    let (slow, all) = (Run::new(seen).results(), recorded.results());
    assert_eq!(slow.step(None, "a").unwrap().totals, all.step(None, "a").unwrap().totals);
    assert_eq!(all.step(None, "a").unwrap().totals.load.requests, 10_001);
}

#[tokio::test]
async fn a_subscriber_waits_for_the_next_event() {
    let (_, recorder) = recorder();
    let view = recorder.subscribe(8);
    let waiting = tokio::spawn(async move { view.next().await.map(|event| event.elapsed_ms) });
    tokio::task::yield_now().await;
    record(&recorder, 7, tick(1));
    assert_eq!(waiting.await.unwrap(), Some(7));
    assert!(!recorder.is_watched() || recorder.record(Duration::ZERO, None, tick(2)).is_ok());
    assert!(!recorder.is_watched(), "a view that is gone is forgotten with the next event");
}

#[tokio::test]
async fn a_view_that_comes_later_gets_the_start_of_the_run() {
    let (_, recorder) = recorder();
    record(&recorder, 0, Kind::Note(Note { text: "first".to_owned() }));
    record(&recorder, 1, tick(1));
    let view = recorder.subscribe(8);
    record(&recorder, 2, tick(2));
    let times: Vec<u64> = std::iter::from_fn(|| view.try_next()).map(|event| event.elapsed_ms).collect();
    assert_eq!(times, [0, 2]);
}

#[test]
fn a_view_that_never_reads_costs_bounded_memory() {
    let (_, recorder) = recorder();
    let view = recorder.subscribe(1);
    for number in 0..5000 {
        record(&recorder, number, Kind::Note(Note::default()));
    }
    assert_eq!(std::iter::from_fn(|| view.try_next()).count(), 64);
    assert_eq!(view.lost(), 5000 - 64);
}

#[test]
fn events_are_one_line_each_with_both_times() {
    let (file, recorder) = recorder();
    let ended = RunEnded { status: RunStatus::Completed, reason: None };
    record(&recorder, 61_250, Kind::RunEnded(ended));
    let text = String::from_utf8(file.0.lock().unwrap().clone()).unwrap();
    let expected = r#"{"version":2,"time":"1970-01-01T00:01:01.250Z","elapsed_ms":61250,"type":"run-ended","status":"completed"}"#;
    assert_eq!(text, format!("{expected}\n"));
}

#[test]
fn concurrent_writers_leave_whole_lines_in_the_order_of_time() {
    let (file, recorder) = recorder();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let recorder = recorder.clone();
            scope.spawn(move || (0..200).for_each(|number| record(&recorder, number, tick(number))));
        }
    });
    let run = file.run();
    assert_eq!(run.events().len(), 800);
    assert!(run.events().is_sorted_by_key(|event| event.elapsed_ms));
}

#[test]
fn more_than_500_samples_are_thinned_out_evenly() {
    let (_, recorder) = recorder();
    let sample = |number: u32| Sample { start_ms: f64::from(number), ..Sample::default() };
    let samples = (0..2000).map(sample).collect();
    let kind = Kind::Tick(Tick { step: "a".to_owned(), samples, ..Tick::default() });
    let event = recorder.record(Duration::ZERO, None, kind).unwrap();
    let Kind::Tick(tick) = &event.kind else { panic!("a tick") };
    assert_eq!(tick.samples.len(), 500);
    let gaps = tick.samples.windows(2).map(|two| two[1].start_ms - two[0].start_ms);
    assert!(gaps.clone().all(|gap| (gap - 4.0).abs() < 1e-9), "{:?}", gaps.collect::<Vec<_>>());
}

#[test]
fn a_failing_writer_is_an_error_and_views_get_the_event_anyway() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let recorder = Recorder::new(Full, jiff::Timestamp::UNIX_EPOCH);
    let view = recorder.subscribe(1);
    assert!(recorder.record(Duration::ZERO, None, tick(1)).is_err());
    assert!(view.try_next().is_some());
}

#[test]
fn a_scrape_of_all_proxies_that_took_long_is_the_record_of_its_second() {
    let mut results = Results::default();
    for (at_ms, is_stale) in [(1_020, true), (2_250, false), (3_020, true), (4_050, false)] {
        let tick = Tick { step: "a".to_owned(), at_ms, is_stale, ..Tick::default() };
        results.apply(&Event::new(jiff::Timestamp::UNIX_EPOCH, Duration::ZERO, None, Kind::Tick(tick)));
    }
    let step = results.step(None, "a").expect("the step");
    let found = [1, 2, 3, 4].map(|second| step.at(Duration::from_secs(second))).map(|found| found.at_ms);
    assert_eq!(found, [1_020, 2_250, 3_020, 4_050]);
}
