//! `schemas/`: what each command prints with `-o json`, made from the types and held to the files.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::report::list as runs;
use super::{explain, fault, outcomes, predict, report, routes, run, sweep, toggle, traffic, window};
use crate::compare::Difference;
use meshy_graph::CallGraph;
use meshy_metrics::stat;
use meshy_predict::edge::EdgePrediction;

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// A schema for each document, by the name of its file.
fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("compare", of::<Vec<Difference>>()),
        ("demo", of::<run::show::Document<'_>>()),
        ("explain", of::<explain::Document<'_>>()),
        ("explain-page", of::<explain::Page<'_>>()),
        ("outcomes", of::<outcomes::Document<'_>>()),
        ("fault", of::<fault::Document<'_>>()),
        ("graph", of::<CallGraph>()),
        ("predict", of::<EdgePrediction>()),
        ("predict-from-cluster", of::<predict::Document<'_>>()),
        ("predict-topology", of::<predict::topology::Document>()),
        ("report", of::<report::Document<'_>>()),
        ("routes", of::<window::Table<routes::Row>>()),
        ("run", of::<run::show::Document<'_>>()),
        ("runs", of::<Vec<runs::Row>>()),
        ("sp-apply-measure", of::<toggle::Document<'_>>()),
        ("stat", of::<window::Table<stat::Row>>()),
        ("sweep", of::<Vec<sweep::Point>>()),
        ("sweep-topology", of::<sweep::graph::Document>()),
        ("traffic", of::<traffic::Document<'_>>()),
    ]
}

/// Visits the properties of a schema and of its definitions.
fn properties(schema: &mut Value, visit: &mut impl FnMut(&str, &mut Value)) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                properties.iter_mut().for_each(|(name, property)| visit(name, property));
            }
            map.values_mut().for_each(|value| properties(value, visit));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| properties(item, visit)),
        _ => {}
    }
}

fn is_number(schema: &Value) -> bool {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    kinds.iter().any(|kind| kind == "number" || kind == "integer")
}

#[test]
fn the_files_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let bless = std::env::var_os("MESHY_BLESS").is_some();
    for (name, schema) in all() {
        let mut schema = schema.to_value();
        schema["title"] = json!(format!("meshy {name} -o json"));
        properties(&mut schema, &mut |name, property| {
            if name.ends_with("_ratio") && is_number(property) {
                property["minimum"] = json!(0);
                property["maximum"] = json!(1);
            }
        });
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let file = folder.join(format!("{name}.schema.json"));
        if bless {
            std::fs::write(&file, text).unwrap();
        } else {
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(found, text, "{} is old: MESHY_BLESS=1 cargo test -p meshy schemas", file.display());
        }
    }
}

/// Units that a number's name ends with; whatever is not one of them must be in [`PLAIN`].
const UNITS: [&str; 7] = ["_ratio", "_count", "_ms", "_seconds", "_per_second", "_per_request", "_points"];

/// Numbers that are neither a share, a count, a duration nor a rate.
const PLAIN: [(&str, &str); 5] = [
    ("version", "of the format"),
    ("value", "of what is swept, whose unit that is; durations in seconds"),
    ("seed", "of random numbers"),
    ("slow_factor", "of delays and service times"),
    ("second", "a position, counted from the start of the load"),
];

/// An interval's three numbers have the unit of the property that holds it.
const OF_INTERVAL: [&str; 3] = ["mean", "low", "high"];

#[test]
fn a_number_says_its_unit_and_no_count_is_called_success() {
    for (document, schema) in all() {
        properties(&mut schema.to_value(), &mut |name, property| {
            assert!(
                !["success", "success_count", "successes_count"].contains(&name),
                "{document}: `{name}` could be a share or a count"
            );
            if is_number(property) {
                let plain = PLAIN.iter().any(|(plain, _)| *plain == name) || OF_INTERVAL.contains(&name);
                assert!(
                    plain || UNITS.iter().any(|unit| name.ends_with(unit)),
                    "{document}: number `{name}` says no unit"
                );
            }
        });
    }
}
