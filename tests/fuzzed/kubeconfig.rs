//! Any text as the user's kubeconfig: a lab's entries go in and out, and what is not the lab's stays.

use meshy::cluster::kubeconfig::{Entries, without};
use serde_json::{Map, Value};

const OURS: &str = "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                    users: [{name: x, user: {token: t}}]\n";
const LAB: &str = "lab";
const SECTIONS: [&str; 3] = ["clusters", "contexts", "users"];

/// One kubeconfig.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let entries = Entries::of(OURS, LAB).expect("our own");
    let Ok((with, previous)) = entries.put(text) else { return };
    let put = read(&with);
    assert_eq!(put["current-context"], LAB);
    for section in SECTIONS {
        let ours = put[section].as_array().into_iter().flatten().filter(|entry| entry["name"] == LAB);
        assert_eq!(ours.count(), 1, "{section} of\n{with}");
    }
    let (again, _) = entries.put(&with).expect("it can be read");
    assert_eq!(again, with, "a second time changes something");

    let taken = without(&with, LAB, previous.as_deref()).expect("it can be read");
    if text.trim().is_empty() {
        return;
    }
    let before = read(text);
    assert_eq!(foreign(&read(&taken)), foreign(&before), "from\n{text}\nvia\n{with}\nto\n{taken}");

    // In the form that it has now, every byte comes back: nothing is left to be made or emptied.
    let settled = |text: &str| {
        let (with, previous) = entries.put(text).expect("it can be read");
        without(&with, LAB, previous.as_deref()).expect("it can be read")
    };
    assert_eq!(settled(&taken), taken, "from\n{text}");
}

fn read(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// All but the lab's entries and the current context. An empty section is none.
fn foreign(config: &Value) -> Map<String, Value> {
    let mut config = config.as_object().expect("a kubeconfig").clone();
    config.remove("current-context");
    for section in SECTIONS {
        if let Some(Value::Array(entries)) = config.get_mut(section) {
            entries.retain(|entry| entry["name"] != LAB);
        }
        let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if config.get(section).is_some_and(empty) {
            config.remove(section);
        }
    }
    config
}
