//! Writes topologies.

use serde::{Serialize, Serializer};

use crate::file::File;
use crate::model::Topology;

/// Writes the topology in the format of its file.
impl Serialize for Topology {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        File::new(self).serialize(serializer)
    }
}

impl Topology {
    /// Returns the topology as a file in meshy's format, which [`Topology::parse`] reads. Defaults and `ignored` are left out.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        // Text, numbers, lists and mappings by text: YAML can express each.
        serde_yaml::to_string(self).unwrap_or_default()
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for Topology {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Topology".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        File::json_schema(generator)
    }
}
