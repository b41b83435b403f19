//! The page as one file.

use std::time::Duration;

use meshy_experiment::event::{Event, Kind, Note, RunStarted};
use meshy_experiment::run::Run;

use super::*;
use crate::control::State;
use crate::report::Report;

const HOSTILE: &str = "</script><script>alert(1)</script><!-- \u{1b}[31m";

fn saved() -> String {
    let event = |kind| Event::new("2026-01-02T03:04:05Z".parse().unwrap(), Duration::ZERO, None, kind);
    let started = RunStarted { title: HOSTILE.to_owned(), ..RunStarted::default() };
    let events =
        vec![event(Kind::RunStarted(started)), event(Kind::Note(Note { text: "a note".to_owned() }))];
    let hub = Hub::recorded(&Run::new(events), &State { title: HOSTILE.to_owned(), ..State::default() });
    page(&hub, reporter)
}

fn reporter(run: &Run) -> Report {
    Report {
        title: run.started().map(|started| started.title.clone()).unwrap_or_default(),
        summary: "<p>5 of 5 expectations met</p>".to_owned(),
        details: "<table></table>".to_owned(),
        pictures: "<svg><style>a{}</style></svg><svg><style>b{}</style></svg><svg><style>a{}</style></svg>"
            .to_owned(),
    }
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
    assert!(
        page.contains("<title>&lt;/script&gt;&lt;script&gt;alert(1)"),
        "the title of the report is a text"
    );
}

#[test]
fn the_file_is_the_report_also_for_a_browser_without_scripts() {
    let page = saved();
    let [summary, pictures, views, details] =
        ["5 of 5 expectations", "<noscript>\n<svg>", "id=\"charts\"", "<table></table>"]
            .map(|part| page.find(part).unwrap_or_else(|| panic!("`{part}` is missing")));
    assert!(summary < pictures && pictures < views && views < details, "result, views, tables");
    assert!(!page.contains("<!-- "), "each place is filled or empty");
    let policy = page.split("style-src ").nth(1).unwrap().split(';').next().unwrap();
    assert!(policy.contains(&hash("a{}")) && policy.contains(&hash("b{}")), "{policy}");
    assert_eq!(policy.matches("sha256-").count(), 3, "each sheet once: {policy}");
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
