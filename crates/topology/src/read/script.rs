//! Scripts and lists of calls. isotope's scripts have the same form, except for the keys of a call.

use std::time::Duration;

use crate::error::Problem;
use crate::model::{Call, Step};
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Node, Value};

/// The keys of a call; isotope's page writes `payloadSize`, its program reads `size`.
const ISOTOPE_CALL: [&str; 6] = ["service", "size", "payloadSize", "probability", "hostname", "extra-header"];

/// The format of the calls in a script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    Meshy,
    /// isotope's, with the size of a request that names none.
    Isotope {
        request_bytes: u64,
    },
}

/// The longest time of a step that the test service accepts.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads the time of a step.
pub(super) fn short(value: &Value) -> Result<Duration, &'static str> {
    let duration = fields::duration(value)?;
    if duration > LONGEST { Err("a duration of at most 1h") } else { Ok(duration) }
}

/// How an item of a list that is not a list itself becomes a step.
type Item<'a> = &'a mut dyn FnMut(&Node) -> Result<Step, Problem>;

/// Reads `calls`: names of services or mappings, those in a nested list at the same time. The line of each call is added to `lines`.
pub(super) fn calls(
    place: &str,
    node: &Node,
    what: &str,
    lines: &mut Vec<u64>,
) -> Result<Vec<Step>, Problem> {
    let what = format!("`calls` of {what}");
    steps(place, node, &what, &mut |item| call(place, item, &what, Dialect::Meshy, lines))
}

/// Reads `script`: mappings with `sleep` or `call`, those in a nested list at the same time.
pub(super) fn script(
    place: &str,
    node: &Node,
    what: &str,
    dialect: &Dialect,
    lines: &mut Vec<u64>,
) -> Result<Vec<Step>, Problem> {
    let what = format!("`script` of {what}");
    steps(place, node, &what, &mut |item| {
        let fields = Fields::new(place, item, &format!("a step in {what}"), &["sleep", "call"])?;
        match (fields.get("sleep"), fields.get("call")) {
            (Some(_), None) => Ok(Step::Sleep(fields.required("sleep", short)?)),
            (None, Some(node)) => call(place, node, &what, *dialect, lines),
            _ => {
                let message = format!("a step in {what} has either `sleep` or `call`; write two steps");
                Err(Problem::new(place, item.line, message))
            }
        }
    })
}

fn steps(place: &str, node: &Node, what: &str, read: Item<'_>) -> Result<Vec<Step>, Problem> {
    let mut found = Vec::new();
    for item in fields::list(place, node, what)? {
        found.push(match &item.value {
            Value::List(inner) => Step::Parallel(parallel(place, inner, what, read)?),
            _ => read(item)?,
        });
    }
    Ok(found)
}

fn parallel(place: &str, inner: &[Node], what: &str, read: Item<'_>) -> Result<Vec<Step>, Problem> {
    let mut found = Vec::new();
    for item in inner {
        if matches!(item.value, Value::List(_)) {
            let message = format!("a list in a nested list of {what}: only one level of nesting is possible");
            return Err(Problem::new(place, item.line, message));
        }
        found.push(read(item)?);
    }
    Ok(found)
}

fn call(
    place: &str,
    node: &Node,
    what: &str,
    dialect: Dialect,
    lines: &mut Vec<u64>,
) -> Result<Step, Problem> {
    let default = match dialect {
        Dialect::Meshy => 0,
        Dialect::Isotope { request_bytes } => request_bytes,
    };
    lines.push(node.line);
    if let Value::Text(service) = &node.value {
        return Ok(Step::Call(Call { request_bytes: default, ..Call::new(service) }));
    }
    if !matches!(node.value, Value::Map(_)) {
        return Err(fields::expected(
            place,
            node,
            &format!("a call in {what}"),
            "the name of a service or a mapping",
        ));
    }
    let what = format!("a call in {what}");
    let known: &[&str] = match dialect {
        Dialect::Meshy => &["service", "optional", "probability", "size"],
        Dialect::Isotope { .. } => &ISOTOPE_CALL,
    };
    let fields = Fields::new(place, node, &what, known)?;
    let mut call = Call::new(fields.required("service", fields::text)?);
    lines.pop();
    lines.push(fields.require("service")?.line);
    call.optional = fields.or("optional", false, fields::boolean)?;
    call.request_bytes = fields.or("size", default, fields::size)?;
    match dialect {
        Dialect::Meshy => call.probability = fields.or("probability", 1.0, fields::percent)?,
        Dialect::Isotope { .. } => {
            call.request_bytes = fields.or("payloadSize", call.request_bytes, fields::size)?;
            // 0 means always there, as no value does.
            let share = fields.or("probability", 0.0, whole_percent)?;
            call.probability = if share > 0.0 { share } else { 1.0 };
        }
    }
    Ok(Step::Call(call))
}

/// The probability of a call in isotope's files: a whole number of percent.
fn whole_percent(value: &Value) -> Result<f64, &'static str> {
    fields::count(value)
        .ok()
        .filter(|percent| *percent <= 100)
        .map(|percent| f64::from(percent) / 100.0)
        .ok_or("a whole number from 0 to 100")
}
