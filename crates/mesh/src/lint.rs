//! Objects that the API server accepts and that still do not do what they say.
//!
//! Each rule has an id, which is also the name of its page under `docs/lint/`.

use serde::Serialize;
use serde_json::Value;

use crate::names;

mod annotations;
mod fields;
mod ingress;
mod profile;
mod regexes;
mod rules;
mod service;
mod shadow;
mod world;

pub use rules::{RULES, Rule};
pub use world::World;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What is written has no effect, or another one than it says.
    Error,
    /// It works, but likely not as meant.
    Warning,
}

/// Where a finding is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, for objects read from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The object's kind.
    pub kind: String,
    /// Its namespace, where it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The field, for example `spec.routes[0].condition.pathRegex`.
    pub field: String,
}

/// One thing that is not as it seems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, and its page in the docs.
    pub id: &'static str,
    /// How bad.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// What is there.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub todo: String,
}

/// Looks at the world's targets and says what is not as it seems, in the order of the objects.
pub fn lint(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for item in world.targets() {
        let mut sink = Sink { item, found: &mut found };
        match item.kind() {
            "ServiceProfile" => profile::lint(world, &mut sink),
            "Service" => service::lint(world, &mut sink),
            "HTTPRoute" => {
                // Linkerd's own group has another, older shape under the same kind.
                if sink.object()["apiVersion"].as_str().is_some_and(|v| v.starts_with(names::GATEWAY_GROUP)) {
                    fields::lint(&mut sink);
                }
                service::lint_route(world, &mut sink);
            }
            "GRPCRoute" => service::lint_route(world, &mut sink),
            "Ingress" => ingress::lint(world, &mut sink),
            _ => {}
        }
        annotations::lint(&mut sink);
    }
    found
}

/// Takes the findings of one object.
struct Sink<'a> {
    item: &'a world::Item,
    found: &'a mut Vec<Finding>,
}

impl Sink<'_> {
    fn object(&self) -> &Value {
        &self.item.object
    }

    fn add(
        &mut self,
        id: &'static str,
        field: impl Into<String>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) {
        let rule = rules::rule(id);
        self.found.push(Finding {
            id: rule.id,
            level: rule.level,
            place: self.item.place(field),
            what: what.into(),
            why: rule.why,
            todo: todo.into(),
        });
    }
}

#[cfg(test)]
mod tests;
