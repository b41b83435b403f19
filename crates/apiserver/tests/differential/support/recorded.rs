//! The real server's answers on disk: a file a sequence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::compare::normal;
use super::target::Answer;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential/recorded")
}

/// All recorded answers.
pub(crate) fn read() -> BTreeMap<String, Vec<Answer>> {
    let text = std::fs::read_to_string(folder().join("answers.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a recorded sequence")).collect()
}

/// Writes down what the real server answered, without what differs from run to run.
pub(crate) fn write(answers: &BTreeMap<String, Vec<Answer>>) {
    let lines: Vec<String> = answers
        .iter()
        .map(|(name, answers)| {
            let normal: Vec<Answer> =
                answers.iter().map(|a| Answer { body: normal(&a.body), ..a.clone() }).collect();
            serde_json::to_string(&(name, normal)).expect("text")
        })
        .collect();
    std::fs::write(folder().join("answers.jsonl"), lines.join("\n") + "\n")
        .expect("the recording is written");
}
