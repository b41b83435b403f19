//! The page as one file.

use std::time::Duration;

use meshy_experiment::event::{Event, Kind, Note, RunStarted};
use meshy_experiment::run::Run;

use super::*;
use crate::control::State;

const HOSTILE: &str = "</script><script>alert(1)</script><!-- \u{1b}[31m";

fn saved() -> String {
    let event = |kind| Event::new("2026-01-02T03:04:05Z".parse().unwrap(), Duration::ZERO, None, kind);
    let started = RunStarted { title: HOSTILE.to_owned(), ..RunStarted::default() };
    let events =
        vec![event(Kind::RunStarted(started)), event(Kind::Note(Note { text: "a note".to_owned() }))];
    page(&Hub::recorded(&Run::new(events), &State { title: HOSTILE.to_owned(), ..State::default() }))
}

#[test]
fn a_saved_page_has_its_events_and_loads_nothing() {
    let page = saved();
    let data = page.split("id=\"run\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["events"][0]["title"], HOSTILE);
    assert_eq!(data["state"]["title"], HOSTILE);
    assert!(!page.contains(" src=") && !page.contains("<link"), "{}", &page[..600]);
}

#[test]
fn a_hostile_name_does_not_end_the_data() {
    let page = saved();
    assert_eq!(page.matches("<script").count(), 3, "charts, data, modules");
    assert_eq!(page.matches("</script>").count(), 3);
    assert!(!page.contains("alert(1)</script>"));
}

#[test]
fn its_policy_allows_its_own_scripts_only() {
    let page = saved();
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    for (start, end) in
        [("<script>", "</script>"), ("<script type=\"module\">", "</script>"), ("<style>", "</style>")]
    {
        let content = page.split(start).nth(1).unwrap().split(end).next().unwrap();
        assert!(policy.contains(&hash(content)), "{start}");
    }
}
