//! The lessons, each as a user runs it: five at the same time, so that all take less than a minute.
#![cfg(target_os = "linux")]

#[path = "support/home.rs"]
mod home;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use home::Home;
use meshy_experiment::condition::Right;
use meshy_experiment::scenario::{Scenario, Settings, shipped};
use serde_json::Value;

/// What a lesson says in addition to its own text.
const SAYS: [(&str, &str); 3] = [
    (
        "mutual-tls",
        "web -> app: mutual TLS, client web.mutual-tls.serviceaccount.identity.linkerd.cluster.local, server \
         app.mutual-tls.serviceaccount.identity.linkerd.cluster.local",
    ),
    ("mutual-tls", "load -> app: plain text, the proxy of app has no identity of the client"),
    ("canary", "1 sender on 1 node, 210 requests scheduled"),
];

/// How long the loads of a lesson may take in its short form, so that the whole takes at most twenty seconds.
const LONGEST: Duration = Duration::from_secs(16);

/// The lessons that ship: a new file in `scenarios/lessons` is one.
fn lessons() -> BTreeSet<String> {
    let shipped = shipped::shipped();
    shipped.iter().filter_map(|one| one.name.strip_prefix("lesson/")).map(str::to_owned).collect()
}

fn lesson(name: &str) -> Scenario {
    let found = shipped::find(&format!("lesson/{name}")).expect("a lesson");
    found.parse(&Settings { fast: true, ..Settings::default() }).expect("a scenario")
}

#[test]
fn the_lessons_are_those_of_the_table_for_learners() {
    let page = include_str!("../docs/learn.md");
    let (_, table) = page.split_once("| lesson | what it shows |").expect("the table");
    let names = table.lines().skip(2).map_while(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), lessons());
}

#[test]
fn each_step_of_a_lesson_has_its_texts_and_a_number_that_is_checked() {
    for name in lessons() {
        let lesson = lesson(&name);
        assert!(lesson.duration().0 <= LONGEST, "{name}: {}", lesson.duration());
        let conditions = lesson.conditions();
        assert_eq!(conditions.len(), lesson.expect.len(), "{name}");
        for step in &lesson.steps {
            let step_name = &step.name.value;
            assert!(
                step.text.is_some() && step.question.is_some() && step.why.is_some(),
                "{name}: {step_name}"
            );
            let is_checked = conditions.iter().any(|condition| {
                matches!(condition.right, Right::Value(..)) && condition.left.step.as_ref() == Some(step_name)
            });
            assert!(is_checked, "{name}: no number of step `{step_name}` is checked");
        }
    }
}

#[test]
fn every_lesson_keeps_what_it_promises_and_explains_each_step_before_the_next() {
    let names = Mutex::new(lessons().into_iter().collect::<Vec<_>>());
    let work = || {
        let mut problems = Vec::new();
        loop {
            let Some(name) = names.lock().expect("the names").pop() else { return problems };
            problems.extend(run(&name).err());
        }
    };
    let problems: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..5).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// Runs a lesson; the error is what is wrong with it.
fn run(name: &str) -> Result<(), String> {
    let home = Home::new();
    let output = home.run(&format!("run lesson/{name} --fast -o json"));
    let talk = String::from_utf8_lossy(&output.stderr);
    let document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{name}: {error}\n{talk}"))?;
    let expectations = document["expectations"].as_array().ok_or("no expectations")?;
    let unmet: Vec<String> = expectations
        .iter()
        .filter(|one| one["verdict"] != "met")
        .map(|one| format!("{}: {}: {}", one["verdict"], one["condition"], one["measured"]))
        .collect();
    let lesson = lesson(name);
    if !unmet.is_empty() || !output.status.success() || expectations.len() != lesson.expect.len() {
        return Err(format!("{name} ended with {}:\n{}\n{talk}", output.status, unmet.join("\n")));
    }
    let said = words(&talk);
    let mut from = 0;
    for (number, step) in lesson.steps.iter().enumerate() {
        let texts = [&step.text, &step.question].into_iter().chain([&step.why]).flatten();
        let mut wanted = vec![format!("{} of {}", number + 1, lesson.steps.len())];
        wanted.extend(texts.map(|text| words(text)));
        wanted.insert(3, format!("{}: ", step.name.value));
        for text in wanted {
            let found = said[from..].find(&text);
            let found =
                found.ok_or_else(|| format!("{name}: `{text}` is missing or in another order:\n{talk}"))?;
            from += found + text.len();
        }
    }
    for (_, text) in SAYS.iter().filter(|(lesson, _)| *lesson == name) {
        if !said.contains(&words(text)) {
            return Err(format!("{name}: `{text}` is missing:\n{talk}"));
        }
    }
    if home.processes().is_empty() { Ok(()) } else { Err(format!("{name} left processes")) }
}

/// The text with single spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
