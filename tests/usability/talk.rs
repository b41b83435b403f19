//! What stands on a terminal: in a talk, and after ctrl-C.

use serde_json::Value;

use crate::home::Home;
use crate::terminal::{Screen, Terminal};

const CTRL_C: char = '\u{3}';
const PROMPT: &str = "[any key]";

/// How many lines of the live view there are.
fn live(screen: &Screen) -> usize {
    let is_live = |line: &&String| line.trim_start().starts_with("success ") && line.contains("p50");
    screen.lines().iter().filter(is_live).count()
}

#[test]
fn a_cleared_line_and_a_line_that_is_written_again_are_seen_as_on_a_terminal() {
    let wide = "x".repeat(100);
    let text = format!("a\r\nold line\r\u{1b}[2Knew\r\n{wide}\r\n{wide}y\r\nb\r\u{1b}[1A\u{1b}[Jc");
    let lines = Screen::after(text.as_bytes()).lines();
    assert_eq!(lines, ["a", "new", &wide, &wide, "c"]);
    assert_eq!(Screen::after(b"a\n\x1b[2J\x1b[Hb").text().trim(), "b");
}

/// The sentences of a scenario that only the speaker reads.
fn notes() -> Vec<String> {
    let scenario: Value = serde_yaml::from_str(include_str!("../../scenarios/retries.yaml")).expect("YAML");
    let steps = scenario["steps"].as_array().expect("steps");
    let notes: Vec<String> =
        steps.iter().filter_map(|step| Some(step["note"].as_str()?.to_owned())).collect();
    assert!(notes.len() >= 3, "{notes:?}");
    notes
}

#[test]
fn a_talk_shows_no_note_of_the_speaker_one_prompt_and_ends_quietly_on_ctrl_c() {
    let home = Home::new();
    let mut talk = Terminal::start(&home.command("demo --fast --present"));
    let prompts = |screen: &Screen| screen.count(PROMPT);
    let words = |screen: &Screen| screen.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let without_notes = |screen: &Screen| {
        let words = words(screen);
        for note in notes() {
            let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(!words.contains(&note), "the audience reads `{note}`:\n{}", screen.text());
        }
    };

    let heading = talk.wait_for("prompt of step 1", |screen| prompts(screen) == 1);
    assert!(heading.text().contains("1 of 5"), "{}", heading.text());
    without_notes(&heading);
    talk.press(' ');
    let running = talk.wait_for("live view", |screen| live(screen) == 1);
    assert_eq!(prompts(&running), 0, "while the step runs there is nothing to press:\n{}", running.text());
    let result = talk.wait_for("prompt after step 1", |screen| prompts(screen) > 0);
    assert_eq!((prompts(&result), live(&result)), (1, 1), "{}", result.text());
    without_notes(&result);
    talk.press(' ');
    let next =
        talk.wait_for("heading of step 2", |screen| screen.text().contains("2 of 5") && prompts(screen) > 0);
    assert!(prompts(&next) == 1 && !next.text().contains("1 of 5"), "an empty screen:\n{}", next.text());
    without_notes(&next);

    talk.press(CTRL_C);
    let (status, screen) = talk.end();
    assert_eq!(status.code(), Some(130), "{}", screen.text());
    assert!(!screen.text().contains("error"), "{}", screen.text());
}

#[test]
fn ctrl_c_leaves_one_line_of_the_live_view() {
    let home = Home::new();
    home.good("up --provider embedded");
    let mut traffic = Terminal::start(&home.command("traffic --duration 120s --rps 10"));
    traffic.wait_for("live view", |screen| live(screen) == 1);
    traffic.press(CTRL_C);
    let (status, screen) = traffic.end();
    assert_eq!(status.code(), Some(130), "{}", screen.text());
    assert_eq!(live(&screen), 1, "{}", screen.text());
    assert_eq!(screen.count("^C"), 0, "{}", screen.text());
}
