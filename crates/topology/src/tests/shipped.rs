//! The topologies that are part of the program.

use std::path::Path;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::parse::EVERYTHING;
use crate::{Topology, capacity_limit, shipped};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_file_is_shipped_and_valid_and_has_its_name() {
    let files = std::fs::read_dir(root().join("topologies")).unwrap().count();
    assert_eq!(shipped().len(), files);
    for (name, text) in shipped() {
        let topology = Topology::load(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(topology.name, name);
        assert!(topology.title.is_some() && topology.ignored.is_empty(), "{name}");
        assert_eq!(Topology::parse(name, &topology.to_yaml()).unwrap(), topology);
        assert!(text.lines().all(|line| line.len() <= 130), "{name} has long lines");
    }
}

#[test]
fn a_file_is_loaded_by_its_path() {
    let path = root().join("topologies/shop.yaml");
    assert_eq!(Topology::load(path.to_str().unwrap()).unwrap(), Topology::load("shop").unwrap());
}

#[test]
fn shapes_are_those_of_their_names() {
    let shape = |name: &str| {
        let topology = Topology::load(name).unwrap();
        (topology.services.len(), topology.edges().len(), topology.entrypoints().count())
    };
    for n in 2..=6 {
        assert_eq!(shape(&format!("chain-{n}")), (n, n - 1, 1));
    }
    assert_eq!(shape("tree-13"), (13, 12, 1));
    assert_eq!(shape("tree-111"), (111, 110, 1));
    assert_eq!(shape("diamond"), (4, 4, 1));
    assert_eq!(shape("fan-out"), (9, 8, 1));
    assert_eq!(shape("shop").0, 10);
}

#[test]
fn the_storm_chain_serves_fifty_requests_per_second() {
    let limit = capacity_limit(&Topology::load("chain-4").unwrap()).unwrap();
    assert_eq!((limit.service.as_str(), limit.requests_per_second.round()), ("stock", 50.0));
    let last = Topology::load("chain-4").unwrap().services.pop().unwrap().capacity.unwrap();
    assert_eq!((last.workers, last.queue, last.service_time.mean), (4, 100, Duration::from_millis(80)));
}

#[test]
fn overlays_of_the_original_demo_exist() {
    let demo = Topology::load("original-demo").unwrap();
    assert_eq!(demo.overlays.len(), 2);
    for overlay in &demo.overlays {
        assert!(root().join(overlay).join("kustomization.yaml").is_file(), "{overlay}");
    }
}

fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Topology>().to_value();
    schema["title"] = json!("meshy topology file");
    schema
}

#[test]
fn the_schema_is_that_of_the_types() {
    let file = root().join("schemas/topology.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("MESHY_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, text, "the schema is old: MESHY_BLESS=1 cargo test -p meshy-topology schema");
}

#[test]
fn the_schema_accepts_every_key_and_rejects_unknown_ones() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut texts = shipped();
    texts.push(("everything", EVERYTHING));
    for (name, text) in texts {
        let value: Value = serde_yaml::from_str(text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    let unknown = EVERYTHING.replace("replicas: 2", "replica: 2");
    assert!(!validator.is_valid(&serde_yaml::from_str::<Value>(&unknown).unwrap()));
}
