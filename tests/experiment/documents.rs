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

/// A service that takes 40 ms on average: of attempts that wait 20 ms, 39 % are answered, of those that wait a second, all.
const SLOW: &str = "apiVersion: meshy/v1alpha1
kind: Topology
metadata: { name: slow }
services:
  - { name: front, entrypoint: true, calls: [app] }
  - name: app
    capacity: { workers: 50, queue: 50, serviceTime: { mean: 40ms, distribution: exponential } }
";

#[test]
fn a_sweep_over_a_timeout_is_predicted_and_measured_on_a_topology() {
    let home = crate::home::Home::new();
    std::fs::write(home.path().join("slow.yaml"), SLOW).expect("a file");
    let sweep = "sweep request-timeout 20ms,1s --topology slow.yaml --rate 20 --over 3s --measured --svg curve.svg -o json";
    let found = document("sweep-topology", &home.good(sweep));
    let success = |point: usize, of: &str| {
        found["points"][point][of]["success_ratio"]["mean"].as_f64().expect("a share")
    };
    assert!((0.2..0.6).contains(&success(0, "predicted")), "{found:#}");
    assert_eq!(success(1, "predicted"), 1.0);
    // On a busy machine more requests are late, and none is early: 36 of 60 lie three deviations above the prediction.
    assert!(success(0, "measured") < 0.7 && success(1, "measured") > success(0, "measured"), "{found:#}");
    let requests = [0, 1].map(|point| found["points"][point]["measured"]["requests_count"].as_u64());
    assert_eq!(requests, [Some(60), Some(60)]);
    assert_eq!((&found["service"], &found["points"][0]["value"]), (&"app".into(), &0.02.into()));
    let svg = std::fs::read_to_string(home.path().join("curve.svg")).expect("the curve");
    assert!(svg.contains("request-timeout in seconds") && svg.contains("<circle"), "{svg}");
    // A response timeout ends an attempt, which counts; a retry timeout repeats it.
    let retried =
        home.good("sweep retry-timeout 20ms,1s --topology slow.yaml --rate 20 --over 3s --limit 2 -o json");
    let retried = document("sweep-topology", &retried);
    let attempts = |point: usize| {
        retried["points"][point]["predicted"]["attempts_per_request"]["mean"].as_f64().expect("attempts")
    };
    assert!(attempts(0) > 1.5 && (attempts(1) - 1.0).abs() < 1e-9, "{retried:#}");
}

#[test]
fn a_sweep_on_a_topology_refuses_what_cannot_be_swept() {
    let home = crate::home::Home::new();
    for (line, wanted) in [
        ("sweep request-timeout 100ms,1s", "`request-timeout` needs `--topology`"),
        ("sweep request-timeout 100,200 --topology chain-2", "the values of `request-timeout` need a unit"),
        ("sweep rate 1s,2s --topology chain-2", "the values of `rate` have no unit"),
        ("sweep fail 10,20 --topology chain-2", "`fail` cannot be swept on a topology"),
        ("sweep retry-timeout 100ms --topology chain-2", "a retry timeout needs `--limit`"),
        ("sweep rate 1,2 --topology chain-22", "did you mean `chain-2`?"),
        ("sweep rate 1,2 --topology chain-2 --at crat", "did you mean `cart`?"),
        (
            "sweep rate 1,2 --topology chain-2 --limit 2 --ratio 0.2",
            "`--limit` cannot be used with `--ratio`",
        ),
        ("sweep rate 1,2 --topology chain-2 --fail 50%", "cannot be used with"),
        ("sweep rate 1,2 --topology original-demo", "one with `overlays` cannot"),
        (
            "sweep response-timeout 1s --topology chain-2 --ratio 0.2 --measured",
            "a retry budget cannot be measured together with",
        ),
    ] {
        let output = home.run(line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "`{line}`: {text}");
        assert!(text.contains(wanted) && !text.contains("Starting"), "`{line}`: {text}");
    }
    assert!(!home.path().join(".local").exists(), "something was written");
}
