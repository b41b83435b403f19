//! Reads a topology from its YAML tree: meshy's format, or isotope's `MockServiceGraph`.

mod isotope;
mod meshy;
mod script;

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::check;
use crate::error::Problem;
use crate::model::Topology;
use crate::yaml::{self, Node, Value};

/// The version of the format.
pub(crate) const API_VERSION: &str = "meshy/v1alpha1";
/// The kind of a topology file.
pub(crate) const KIND: &str = "Topology";
/// The kind of isotope's files.
const ISOTOPE: &str = "MockServiceGraph";

impl Topology {
    /// Returns the topology that a text describes, in meshy's or isotope's format. `place` names the text in errors; a topology of
    /// isotope, which has no name in its file, is named by the last part of `place`.
    ///
    /// # Errors
    ///
    /// Returns an error for text that is not YAML, an unknown key, an invalid value, an unknown or duplicate service, a cycle, or no
    /// entry point, with its line.
    pub fn parse(place: &str, text: &str) -> Result<Self, Problem> {
        Self::from_node(place, &yaml::parse(place, text)?)
    }

    /// Returns the topology that a part of a YAML text describes, with the errors of [`Topology::parse`].
    ///
    /// # Errors
    ///
    /// See [`Topology::parse`].
    pub(crate) fn from_node(place: &str, node: &Node) -> Result<Self, Problem> {
        let parsed = match format(node) {
            Format::Meshy => meshy::read(place, node)?,
            Format::Isotope => isotope::read(place, node)?,
        };
        check::check(place, &parsed)?;
        Ok(parsed.topology)
    }
}

/// Reads a topology that is part of another document, for example of a recorded run. Its errors have no lines; a YAML text is better
/// read as a [`Node`], then by `Topology::from_node`.
impl<'de> Deserialize<'de> for Topology {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::from(serde_json::Value::deserialize(deserializer)?);
        Self::from_node("topology", &node).map_err(D::Error::custom)
    }
}

enum Format {
    Meshy,
    Isotope,
}

/// Returns the format of a file. Most of isotope's files have neither a version nor a kind.
fn format(node: &Node) -> Format {
    let Value::Map(entries) = &node.value else { return Format::Meshy };
    let value = |key: &str| entries.iter().find(|(found, _)| found.text == key).map(|(_, node)| &node.value);
    let is_isotope = match (value("kind"), value("apiVersion")) {
        (Some(Value::Text(kind)), _) => kind == ISOTOPE,
        (None, Some(Value::Text(version))) => !version.starts_with("meshy"),
        (None, None) => value("metadata").is_none() && value("services").is_some(),
        _ => false,
    };
    if is_isotope { Format::Isotope } else { Format::Meshy }
}
