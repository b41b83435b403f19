//! Finds problems in objects that the API server accepts: fields and annotations without the intended effect.
//!
//! Each rule has an id, which is also the name of its page in `docs/lint/`.

use serde::Serialize;
use serde_json::Value;

use crate::names;

mod annotations;
mod breaker;
mod calls;
mod fields;
mod github;
mod ingress;
mod profile;
mod program;
mod rate_limit;
mod regexes;
mod retries;
mod route;
mod rules;
mod service;
mod shadow;
mod shape;
mod shapes;
mod world;

pub use calls::calls;
pub use github::{github, line};
pub use program::program;
pub(crate) use route::unsupported_filters;
#[cfg(test)]
pub(crate) use rules::CALL_RULES;
pub(crate) use rules::PROGRAM_RULE;
pub use rules::{RULES, Rule};
pub use world::World;

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The object has no effect, or another effect than written.
    Error,
    /// The object has the written effect, which is probably not the intended one.
    Warning,
}

/// The location of a finding: file, object and field.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The path of the file; `None` for objects that were not read from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The kind of the object.
    pub kind: String,
    /// The namespace of the object; `None` if its metadata has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the object; empty if its metadata has none.
    pub name: String,
    /// The field, for example `spec.routes[0].condition.pathRegex`.
    pub field: String,
}

/// A problem in one field of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The id of the rule, and the name of its page in `docs/lint/`.
    pub id: &'static str,
    /// The level, which is the same for all findings of a rule.
    pub level: Level,
    /// The location in the object, and the file if there is one.
    pub place: Place,
    /// The problem, with the value of the field.
    pub what: String,
    /// The effect of the problem in the cluster.
    pub why: &'static str,
    /// The suggested correction.
    pub todo: String,
}

/// Checks the targets of the world and returns the findings, in the order of the objects.
pub fn lint(world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    for item in world.targets() {
        let mut sink = Sink { item, found: &mut found };
        match item.kind() {
            "ServiceProfile" => profile::lint(world, &mut sink),
            "Service" => {
                service::lint(world, &mut sink);
                breaker::lint(&mut sink);
            }
            "EgressNetwork" => breaker::lint(&mut sink),
            "HTTPLocalRateLimitPolicy" => rate_limit::lint(world, &mut sink),
            "HTTPRoute" => {
                // The HTTPRoute of `policy.linkerd.io` has other fields.
                if sink.object()["apiVersion"].as_str().is_some_and(|v| v.starts_with(names::GATEWAY_GROUP)) {
                    fields::lint(&mut sink);
                }
                route::lint(world, &mut sink);
                shared_by_routes(world, &mut sink);
            }
            "GRPCRoute" => shared_by_routes(world, &mut sink),
            "Ingress" => ingress::lint(world, &mut sink),
            _ => {}
        }
        annotations::lint(&mut sink);
    }
    found
}

fn shared_by_routes(world: &World, sink: &mut Sink<'_>) {
    service::lint_route(world, sink);
    retries::lint_route(sink);
    breaker::lint_route(sink);
}

/// Collects the findings of one object.
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
mod file_tests;
#[cfg(test)]
mod tests;
