//! Conditions: `retries.success > no-retries.success`, `storm.p99@cart < 200ms`, `budget/storm.class == recovered`.
//!
//! ```text
//!   CONDITION = OPERAND OP (VALUE | OPERAND)         OP: > >= < <= == != ~
//!   OPERAND   = [VARIANT/][STEP[FROM..TO].]METRIC[@WHERE]   WHERE: a service, or an edge CALLER->SERVICE
//! ```
//!
//! `>`, `>=`, `<` and `<=` are decided by 95 % intervals, or by the measured values where the caller chooses these; `==` and `!=` compare counts exactly; `~` compares a share with a predicted one.

mod evaluate;
mod measure;
mod metric;
mod not_measured;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use crate::event::{ConditionResult, Verdict};
pub use evaluate::{Basis, evaluate, evaluate_by};
pub use measure::filled;
pub use metric::{Metric, Unit};
pub use parse::{ParseError, parse_list};

use crate::units::Length;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is measured.
    pub left: Operand,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub right: Right,
}

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// The variant; without it the condition is checked for each one.
    pub variant: Option<String>,
    /// The step; without it the only one.
    pub step: Option<String>,
    /// A part of the step, from its start.
    pub window: Option<(Duration, Duration)>,
    /// What is measured.
    pub metric: Metric,
    /// Where; without it as the sender of the load counts it.
    pub place: Option<Place>,
}

/// Where something is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// All requests to a service.
    Service(String),
    /// The requests of one caller to a service.
    Edge(String, String),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `~`: chance explains the difference to a predicted share.
    Near,
}

/// The right side of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Right {
    /// A value with its unit.
    Value(f64, Unit),
    /// `recovered` or `metastable`.
    Class(String),
    /// Another measured value.
    Operand(Operand),
}

impl Condition {
    /// Returns the condition with this step where a value names none.
    #[must_use]
    pub fn at_step(mut self, step: &str) -> Self {
        let right = match &mut self.right {
            Right::Operand(operand) => Some(operand),
            Right::Value(..) | Right::Class(_) => None,
        };
        for operand in std::iter::once(&mut self.left).chain(right) {
            operand.step.get_or_insert_with(|| step.to_owned());
        }
        self
    }

    /// Returns the measured values of the condition.
    pub fn operands(&self) -> impl Iterator<Item = &Operand> {
        let right = match &self.right {
            Right::Operand(operand) => Some(operand),
            Right::Value(..) | Right::Class(_) => None,
        };
        std::iter::once(&self.left).chain(right)
    }
}

impl Operand {
    /// Returns the services that the place names.
    pub fn services(&self) -> Vec<&str> {
        match &self.place {
            None => Vec::new(),
            Some(Place::Service(service)) => vec![service],
            // A caller may be an ingress or a sender, which no topology has.
            Some(Place::Edge(_, service)) => vec![service],
        }
    }
}

impl Operator {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("~", Self::Near),
        (">", Self::Above),
        ("<", Self::Below),
    ];
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Self::ALL.iter().find(|(_, operator)| operator == self).map_or("", |(text, _)| text);
        f.write_str(text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => f.write_str(service),
            Self::Edge(from, to) => write!(f, "{from}->{to}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variant) = &self.variant {
            write!(f, "{variant}/")?;
        }
        if let Some(step) = &self.step {
            f.write_str(step)?;
            if let Some((from, to)) = self.window {
                write!(f, "[{}..{}]", Length(from), Length(to))?;
            }
            f.write_str(".")?;
        }
        write!(f, "{}", self.metric)?;
        match &self.place {
            Some(place) => write!(f, "@{place}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.left, self.operator)?;
        match &self.right {
            Right::Value(value, unit) => f.write_str(&unit.words(*value).replace(' ', "")),
            Right::Class(class) => f.write_str(class),
            Right::Operand(operand) => operand.fmt(f),
        }
    }
}
