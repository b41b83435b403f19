//! Whether a model can be simulated.

use super::{Errors, FaultKind, Model, Step};

/// A model that cannot be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// An index of a service that does not exist.
    #[error("{place} refers to service {index}, but there are only {count}")]
    NoService {
        /// Where the index stands.
        place: String,
        /// The index.
        index: usize,
        /// How many services there are.
        count: usize,
    },
    /// A policy or a call of a service that the topology does not have.
    #[error("{place} refers to the unknown service `{name}`")]
    UnknownService {
        /// Where the name stands.
        place: String,
        /// The name.
        name: String,
    },
    /// A topology that no client calls, such as one of kustomize overlays.
    #[error("topology `{0}` has no entry point that can be simulated")]
    NoEntry(String),
    /// A call over an edge that does not exist or starts at another service.
    #[error("service `{service}` calls over edge {edge}, which does not start at it")]
    WrongEdge {
        /// The calling service.
        service: String,
        /// The edge's index.
        edge: usize,
    },
    /// Services that call each other in a cycle.
    #[error("services call each other in a cycle: {}", .0.join(" → "))]
    Cycle(Vec<String>),
    /// A value outside its range.
    #[error("{place} is {value}, expected {expected}")]
    Value {
        /// Where the value stands.
        place: String,
        /// The value.
        value: String,
        /// What is valid.
        expected: &'static str,
    },
}

pub(super) fn check(model: &Model) -> Result<(), ModelError> {
    let count = model.services.len();
    let service = |place: &str, index: usize| {
        if index < count {
            return Ok(());
        }
        Err(ModelError::NoService { place: place.to_owned(), index, count })
    };
    service("the entry", model.entry)?;
    for (index, edge) in model.edges.iter().enumerate() {
        service(&format!("edge {index}"), edge.from)?;
        service(&format!("edge {index}"), edge.to)?;
    }
    for fault in &model.faults {
        match fault.kind {
            FaultKind::Down { service: index } | FaultKind::Errors { service: index, .. } => {
                service("a fault", index)?;
            }
            FaultKind::Slow { service: index, factor } => {
                service("a fault", index)?;
                positive("the factor of a slow service", factor)?;
            }
            FaultKind::Load { factor } => not_negative("the factor of a load", factor)?,
        }
    }
    not_negative("the rate of the load", model.load.rate)?;
    model.load.phases.iter().try_for_each(|phase| not_negative("the factor of a phase", phase.factor))?;
    at_least_one("the number of clients", model.clients)?;
    (0..count).try_for_each(|index| check_service(model, index))?;
    let mut done = vec![false; count];
    (0..count).try_for_each(|index| follow(model, index, &mut Vec::new(), &mut done))
}

fn check_service(model: &Model, index: usize) -> Result<(), ModelError> {
    let service = &model.services[index];
    let place = |what: &str| format!("{what} of service `{}`", service.name);
    at_least_one(&place("the number of replicas"), service.replicas)?;
    if let Some(capacity) = &service.capacity {
        at_least_one(&place("the number of workers"), capacity.workers)?;
    }
    match service.errors {
        Errors::Share(share) => ratio(&place("the error share"), share)?,
        Errors::Blocks(failing) if failing > 10 => {
            return Err(value(&place("the number of errors in a block"), failing, "0 to 10"));
        }
        Errors::Blocks(_) | Errors::None => {}
    }
    let mut steps: Vec<&Step> = service.script.iter().collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Sleep(_) => {}
            Step::Parallel(inner) => steps.extend(inner),
            Step::Call { edge, probability, .. } => {
                ratio(&place("the probability of a call"), *probability)?;
                if model.edges.get(*edge).is_none_or(|edge| edge.from != index) {
                    return Err(ModelError::WrongEdge { service: service.name.clone(), edge: *edge });
                }
            }
        }
    }
    Ok(())
}

/// Follows the edges from a service; `path` has the services on the way to it, `done` those whose calls have no cycle.
fn follow(model: &Model, index: usize, path: &mut Vec<usize>, done: &mut [bool]) -> Result<(), ModelError> {
    if done[index] {
        return Ok(());
    }
    let begun = path.iter().position(|on_path| *on_path == index);
    path.push(index);
    if let Some(begun) = begun {
        let names = path[begun..].iter().map(|index| model.services[*index].name.clone());
        return Err(ModelError::Cycle(names.collect()));
    }
    let calls = model.edges.iter().filter(|edge| edge.from == index);
    calls.map(|edge| edge.to).try_for_each(|to| follow(model, to, path, done))?;
    path.pop();
    done[index] = true;
    Ok(())
}

fn at_least_one(place: &str, number: usize) -> Result<(), ModelError> {
    if number > 0 { Ok(()) } else { Err(value(place, number, "at least 1")) }
}

fn positive(place: &str, number: f64) -> Result<(), ModelError> {
    if number.is_finite() && number > 0.0 { Ok(()) } else { Err(value(place, number, "more than 0")) }
}

fn not_negative(place: &str, number: f64) -> Result<(), ModelError> {
    if number.is_finite() && number >= 0.0 { Ok(()) } else { Err(value(place, number, "0 or more")) }
}

fn ratio(place: &str, number: f64) -> Result<(), ModelError> {
    if (0.0..=1.0).contains(&number) { Ok(()) } else { Err(value(place, number, "0 to 1")) }
}

fn value(place: &str, value: impl ToString, expected: &'static str) -> ModelError {
    ModelError::Value { place: place.to_owned(), value: value.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Edge, EdgePolicy, Load};
    use super::*;

    fn chain() -> Model {
        Model::chain(3, Load::even(1.0, Duration::from_secs(1)))
    }

    #[test]
    fn a_cycle_is_named_service_by_service() {
        let mut model = chain();
        assert_eq!(model.check(), Ok(()));
        model.edges.push(Edge { from: 2, to: 1, policy: EdgePolicy::default() });
        let error = model.check().unwrap_err().to_string();
        assert_eq!(error, "services call each other in a cycle: s2 → s3 → s2");
    }

    #[test]
    fn invalid_parts_are_named() {
        let error = |change: &dyn Fn(&mut Model)| {
            let mut model = chain();
            change(&mut model);
            model.check().unwrap_err().to_string()
        };
        assert_eq!(error(&|m| m.entry = 9), "the entry refers to service 9, but there are only 3");
        assert_eq!(
            error(&|m| m.services[2].replicas = 0),
            "the number of replicas of service `s3` is 0, expected at least 1"
        );
        assert_eq!(
            error(&|m| m.services[1].errors = Errors::Share(1.5)),
            "the error share of service `s2` is 1.5, expected 0 to 1"
        );
        assert_eq!(
            error(&|m| m.services[2].script = vec![Step::call(0)]),
            "service `s3` calls over edge 0, which does not start at it"
        );
    }
}
