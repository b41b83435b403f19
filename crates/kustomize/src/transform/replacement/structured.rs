//! Replacements inside a text that holds JSON or YAML itself.

use serde_json::Value;

use crate::error::Error;
use crate::{hash, yaml};

/// `text` after `change` has worked on what it holds.
///
/// JSON comes back as Go writes it. YAML comes back only when nothing of it would be lost: with comments, or keys in an
/// different order, it is refused, since kustomize would keep both.
pub(super) fn edit(
    text: &str,
    change: impl FnOnce(&mut Value) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut inside = match &yaml::documents(text, "a text inside an object")?[..] {
        [inside @ (Value::Object(_) | Value::Array(_))] => inside.clone(),
        _ => return Err(Error::invalid("a path leads into a text that is neither JSON nor YAML")),
    };
    let as_yaml = |value: &Value| yaml::print(std::slice::from_ref(value)).trim().to_owned();
    let as_json = text.trim_start().starts_with(['{', '[']);
    if !as_json && as_yaml(&inside) != text.trim() {
        return Err(Error::invalid("a path leads into a YAML text whose comments or order would be lost"));
    }
    change(&mut inside)?;
    Ok(match (as_json, text.contains('\n') && text.contains("  ")) {
        (false, _) => as_yaml(&inside),
        (true, indented) => hash::json(&inside, indented),
    })
}
