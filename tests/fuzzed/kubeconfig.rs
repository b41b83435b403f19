//! Any text as the user's kubeconfig: a lab's entries go in and out without a trace, or the text is refused; and a client is
//! made from it without a panic.

use std::sync::LazyLock;

use meshy_lab::cluster::kubeconfig::{Entries, with, without};
use meshy_lab::connect::client_from_text;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const OURS: &str = "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                    users: [{name: x, user: {token: t}}]\n";
const LAB: &str = "lab";
const ID: &str = "lab-00000000000000000000000000000001";
const SECTIONS: [&str; 3] = ["clusters", "contexts", "users"];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// One kubeconfig.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    client(text);
    let entries = Entries::of(OURS, LAB).expect("our own");
    let Ok(put) = with(text, &entries, ID, None) else { return };
    let value = read(&put.text);
    assert_eq!(value["current-context"], LAB);
    for section in SECTIONS {
        let ours = value[section].as_array().into_iter().flatten().filter(|entry| entry["name"] == LAB);
        assert_eq!(ours.count(), 1, "{section} of\n{}", put.text);
    }
    let again = with(&put.text, &entries, ID, None).expect("it can be read");
    assert_eq!(again.text, put.text, "a second time changes something");
    let taken = without(&put.text, ID).expect("it can be read");
    // A text that has the mark of this very lab is cleaned of it.
    if !text.contains(ID) {
        assert_eq!(taken.text, text, "via\n{}", put.text);
    }
}

/// Makes a client for each context, as `--context` does. It may fail; it sends nothing.
fn client(text: &str) {
    let Ok(value) = serde_yaml::from_str::<Value>(text) else { return };
    let contexts = value["contexts"].as_array().into_iter().flatten();
    for name in contexts.filter_map(|context| context["name"].as_str()).take(3) {
        let _ = RUNTIME.block_on(client_from_text(text, name));
    }
}

fn read(text: &str) -> Value {
    let text = text.trim_start_matches('\u{feff}');
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}
