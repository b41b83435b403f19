//! Validation of numbers.

use serde_json::Value;

use crate::error::Causes;
use crate::validate::invalid;

pub(super) fn check(schema: &Value, value: &Value, at: &str, found: &mut Causes) {
    let number = value.as_f64().unwrap_or_default();
    let mut report = |why: &str| found.push(invalid(at, value, &format!("{at} in body should be {why}")));
    if let Some(min) = schema["minimum"].as_f64() {
        let bound = &schema["minimum"];
        match schema["exclusiveMinimum"] == true {
            true if number <= min => report(&format!("greater than {bound}")),
            false if number < min => report(&format!("greater than or equal to {bound}")),
            _ => {}
        }
    }
    if let Some(max) = schema["maximum"].as_f64() {
        let bound = &schema["maximum"];
        match schema["exclusiveMaximum"] == true {
            true if number >= max => report(&format!("less than {bound}")),
            false if number > max => report(&format!("less than or equal to {bound}")),
            _ => {}
        }
    }
    if let Some(step) = schema["multipleOf"].as_f64().filter(|step| *step > 0.0)
        && (number / step).fract() != 0.0
    {
        report(&format!("a multiple of {}", schema["multipleOf"]));
    }
    // kube-apiserver returns no field name here.
    if schema["format"] == "int32" && value.as_i64().is_none_or(|number| i32::try_from(number).is_err()) {
        let why = format!("Checked value must be of type integer with format int32 in {at}");
        found.push(invalid("<nil>", &"".into(), &why));
    }
}
