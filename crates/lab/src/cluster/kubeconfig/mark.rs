//! The mark in each kubeconfig entry that a lab created: an extension with the lab's id, which kubectl keeps. It is written
//! together with the entry, so there is no moment at which an entry of a lab cannot be recognized.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The name of the extension.
const EXTENSION: &str = "meshy";

/// The lists of a kubeconfig, and the key of the content of their entries.
pub(super) const SECTIONS: [(&str, &str); 3] =
    [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];

/// What [`super::without`] needs to restore the file byte for byte. It is part of the mark of a lab's context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Restore {
    /// Set if the lab created the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<Created>,
    /// The text of the value of each top-level key that had no entries; `None` if the key was absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) keys: BTreeMap<String, Option<String>>,
    /// The values of `current-context` to go back to, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) current_context: Vec<Previous>,
}

/// A kubeconfig file that did not exist before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Created {
    /// How many of the folders above the file did not exist either.
    pub(super) folders: usize,
}

/// A former value of `current-context`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Previous {
    /// The text of the value; `None` if the key was absent.
    pub(super) text: Option<String>,
    /// The kubeconfig had a context of that name. If it has none any more, this value is skipped.
    #[serde(default)]
    pub(super) existed: bool,
}

/// Adds the mark of lab `id` to the content of an entry, in place of one that is there.
pub(super) fn add(content: &mut Value, id: &str, restore: Option<&Restore>) {
    let mut extension = json!({ "lab": id });
    if let Some(restore) = restore {
        extension["restore"] = json!(restore);
    }
    let mut all = content["extensions"].as_array().cloned().unwrap_or_default();
    all.retain(|other| other["name"] != EXTENSION);
    all.push(json!({ "name": EXTENSION, "extension": extension }));
    content["extensions"] = Value::Array(all);
}

/// Returns the id of the lab that created an entry, or `None` if no lab did.
pub(super) fn lab(entry: &Value) -> Option<&str> {
    extension(entry)?["lab"].as_str()
}

/// Returns what is needed to restore the file, from the mark of a context. A damaged mark restores nothing special.
pub(super) fn restore(entry: &Value) -> Restore {
    let found = extension(entry).map(|extension| extension["restore"].clone());
    found.and_then(|found| serde_json::from_value(found).ok()).unwrap_or_default()
}

/// Returns the id of a lab from the `extensions` of an entry.
pub(crate) fn lab_in(extensions: &Value) -> Option<&str> {
    find(extensions)?["lab"].as_str()
}

fn extension(entry: &Value) -> Option<&Value> {
    let content = SECTIONS.iter().find_map(|(_, key)| entry.get(key))?;
    find(content.get("extensions")?)
}

fn find(extensions: &Value) -> Option<&Value> {
    Some(&extensions.as_array()?.iter().find(|one| one["name"] == EXTENSION)?["extension"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_again_and_foreign_extensions_stay() {
        let foreign = json!({"name": "other", "extension": {"a": 1}});
        let mut content = json!({"server": "https://h", "extensions": [foreign]});
        let keys = BTreeMap::from([("users".to_owned(), None)]);
        let restore = Restore { keys, ..Restore::default() };
        add(&mut content, "first", None);
        add(&mut content, "second", Some(&restore));
        assert_eq!(content["extensions"].as_array().unwrap().len(), 2);
        assert_eq!(content["extensions"][0], foreign);
        let entry = json!({"name": "x", "cluster": content});
        assert_eq!(lab(&entry), Some("second"));
        assert_eq!(super::restore(&entry), restore);
    }

    #[test]
    fn an_entry_without_a_mark_or_with_a_damaged_one_belongs_to_no_lab() {
        for content in [
            json!(null),
            json!({"extensions": 7}),
            json!({"extensions": [7, {"name": "meshy"}]}),
            json!({"extensions": [{"name": "meshy", "extension": {"lab": 7, "restore": []}}]}),
        ] {
            let entry = json!({"name": "x", "context": content});
            assert_eq!(lab(&entry), None, "{entry}");
            assert_eq!(restore(&entry), Restore::default());
        }
    }
}
