//! Documents of `-o json` against `schemas/`, and the rules that their names promise.

use std::path::Path;

use serde_json::Value;

/// Closes every object of a schema: a property that the schema does not know is then an error too.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Every number below a name that ends in `_ratio` lies in 0 to 1.
fn hold_ratios(path: &str, under_ratio: bool, value: &Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                hold_ratios(&format!("{path}.{name}"), under_ratio || name.ends_with("_ratio"), value);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| hold_ratios(path, under_ratio, item)),
        Value::Number(number) if under_ratio => {
            let number = number.as_f64().expect("a number");
            assert!((0.0..=1.0).contains(&number), "{path} is {number}");
        }
        _ => {}
    }
}

/// Parses a document and holds it to the schema of that name.
pub(crate) fn document(schema: &str, text: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{schema}.schema.json"));
    let known = std::fs::read_to_string(&file).expect("a schema");
    let mut known: Value = serde_json::from_str(&known).expect("a schema is JSON");
    close(&mut known);
    let document: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{schema}: {error}:\n{text}"));
    let validator = jsonschema::validator_for(&known).expect("a schema");
    let wrong: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{schema}: {wrong:#?}\n{document:#}");
    hold_ratios(schema, false, &document);
    document
}

#[test]
fn a_document_that_breaks_its_schema_is_found() {
    let good = document("explain", r#"{"run": "x", "steps": [["a"]], "verdict": null}"#);
    assert_eq!(good["run"], "x");
    for wrong in [r#"{"run": 1, "steps": []}"#, r#"{"run": "x", "steps": [], "surprise": 1}"#] {
        assert!(std::panic::catch_unwind(|| document("explain", wrong)).is_err(), "{wrong}");
    }
    let ratio = std::panic::catch_unwind(|| hold_ratios("x", false, &serde_json::json!({"a_ratio": [70]})));
    assert!(ratio.is_err());
}

#[test]
fn a_prediction_and_a_sweep_are_as_their_schemas_say() {
    let home = crate::home::Home::new();
    for policy in ["", " --limit 3", " --limit 0", " --ratio 2.5 --min 0", " --ttl 90s"] {
        let text = home.good(&format!("predict --fail 70% --rps 5 --over 5s{policy} -o json"));
        document("predict", &text);
    }
    let points = document("sweep", &home.good("sweep limit 0..3 --over 5s --svg curve.svg -o json"));
    assert_eq!(points.as_array().expect("points").len(), 4);
    let svg = std::fs::read_to_string(home.path().join("curve.svg")).expect("the curve");
    assert!(svg.starts_with("<svg") && svg.contains("limit"));
}
