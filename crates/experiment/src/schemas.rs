//! `schemas/`: the JSON schemas of the formats of this crate, made from the types and compared with the files.

use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::event::Event;
use crate::run::Run;
use crate::scenario::{Scenario, Settings, shipped};

fn schemas() -> [(&'static str, Value); 2] {
    let settings = SchemaSettings::draft2020_12;
    let mut scenario =
        settings().for_deserialize().into_generator().into_root_schema_for::<Scenario>().to_value();
    scenario["title"] = json!("A meshy scenario");
    let mut event = settings().for_serialize().into_generator().into_root_schema_for::<Event>().to_value();
    event["title"] = json!("An event of a meshy run");
    [("scenario", scenario), ("event", event)]
}

#[test]
fn the_files_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    for (name, schema) in schemas() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let file = folder.join(format!("{name}.schema.json"));
        if std::env::var_os("MESHY_BLESS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            found,
            text,
            "run MESHY_BLESS=1 cargo test -p meshy-experiment schemas to update {}",
            file.display()
        );
    }
}

#[test]
fn shipped_scenarios_and_recorded_events_are_valid_by_the_schemas() {
    let [(_, scenario), (_, event)] = schemas();
    let scenario = jsonschema::validator_for(&scenario).unwrap();
    for shipped in shipped::shipped() {
        // As it is written, with parameters, and as it runs.
        let resolved = shipped.parse(&Settings::default()).unwrap().to_yaml().unwrap();
        for yaml in [shipped.text, &resolved] {
            let value: Value = serde_yaml::from_str(yaml).unwrap();
            let errors: Vec<String> = scenario.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", shipped.name);
        }
    }
    assert!(!scenario.is_valid(&json!({"apiVersion": "meshy/v1alpha1", "kind": "Scenario", "stepz": []})));
    let event = jsonschema::validator_for(&event).unwrap();
    let run: Run = crate::run::tests::run();
    for recorded in run.events() {
        let value = serde_json::to_value(recorded).unwrap();
        assert!(event.is_valid(&value), "{value}");
    }
    assert!(!event.is_valid(&json!({"version": 2, "type": "tick"})));
}
