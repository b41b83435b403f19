//! Recorded responses of kube-apiserver, one line for each sequence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::compare::normalize;
use super::target::Response;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential/recorded")
}

/// Returns the recorded responses by sequence.
pub(crate) fn read() -> BTreeMap<String, Vec<Response>> {
    let text = std::fs::read_to_string(folder().join("responses.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a recorded sequence")).collect()
}

/// Records responses, without values that differ in each run.
pub(crate) fn write(responses: &BTreeMap<String, Vec<Response>>) {
    let lines: Vec<String> = responses
        .iter()
        .map(|(name, responses)| {
            let normalized: Vec<Response> = responses
                .iter()
                .map(|response| Response { body: normalize(&response.body), ..response.clone() })
                .collect();
            serde_json::to_string(&(name, normalized)).expect("text")
        })
        .collect();
    std::fs::write(folder().join("responses.jsonl"), lines.join("\n") + "\n")
        .expect("the recording is written");
}
