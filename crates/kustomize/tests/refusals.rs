//! Unsupported fields are rejected by name, and deprecated fields have a warning with the replacement.

use std::path::Path;

use meshy_kustomize::{Error, Memory, Output, Refusal, build};

fn built(kustomization: &'static str) -> Result<Output, Error> {
    let mut tree = Memory::new();
    tree.insert("/kustomization.yaml", kustomization);
    tree.insert("/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\n");
    tree.insert("/patch.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {a: b}\n");
    tree.insert("/base/kustomization.yaml", "configMapGenerator: [{name: base}]\n");
    build(&tree, Path::new("/"))
}

fn refusal(kustomization: &'static str) -> (String, Refusal) {
    match built(kustomization).expect_err("it is refused").cause() {
        Error::Refused { what, refusal } => (what.clone(), *refusal),
        other => panic!("{kustomization} gives {other}"),
    }
}

#[test]
fn remote_resources_are_refused_with_their_address() {
    for address in [
        "https://example.org/a.yaml",
        "http://example.org/a.yaml",
        "github.com/org/repo//base?ref=v1",
        "git@example.org:org/repo.git",
        "ssh://git@example.org/org/repo",
        "git::https://example.org/repo",
        "git@github.com/org/repo",
        "package@v1.0.example/x",
    ] {
        for field in ["resources", "bases", "components"] {
            let text: &'static str = Box::leak(format!("{field}: [\"{address}\"]\n").into_boxed_str());
            assert_eq!(refusal(text), (format!("`{address}`"), Refusal::Remote), "{text}");
        }
    }
}

#[test]
fn fields_that_need_other_programs_are_refused_by_name() {
    for (field, why) in [
        ("helmCharts", Refusal::Helm),
        ("helmGlobals", Refusal::Helm),
        ("helmChartInflationGenerator", Refusal::Helm),
        ("generators", Refusal::Plugin),
        ("transformers", Refusal::Plugin),
        ("validators", Refusal::Plugin),
        ("vars", Refusal::Vars),
        ("crds", Refusal::Configuration),
        ("configurations", Refusal::Configuration),
        ("openapi", Refusal::Configuration),
        ("buildMetadata", Refusal::Configuration),
    ] {
        let text: &'static str = Box::leak(format!("resources: [map.yaml]\n{field}: [x]\n").into_boxed_str());
        assert_eq!(refusal(text), (format!("`{field}` in `/kustomization.yaml`"), why));
        assert!(built(text).unwrap_err().cause().to_string().contains("\nhint: "), "{field} has no hint");
    }
}

#[test]
fn an_unknown_field_names_the_nearest_one() {
    let error = built("resources: [map.yaml]\nnamePrefx: x-\n").unwrap_err();
    assert!(error.cause().to_string().ends_with("hint: the nearest field is `namePrefix`"), "{error}");
}

#[test]
fn a_deprecated_field_has_one_warning_with_the_replacement() {
    for (text, old, new) in [
        ("bases: [base]\n", "bases", "resources: [PATH…]"),
        ("resources: [map.yaml]\ncommonLabels: {a: b}\n", "commonLabels", "includeSelectors: true"),
        ("resources: [map.yaml]\nimageTags: [{name: a, newTag: b}]\n", "imageTags", "images: "),
        (
            "resources: [map.yaml]\npatchesStrategicMerge: [patch.yaml]\n",
            "patchesStrategicMerge",
            "patches: [{path: PATH}]",
        ),
        (
            "resources: [map.yaml]\npatchesJson6902: [{target: {name: none}, patch: '[{\"op\":\"remove\",\"path\":\"/x\"}]'}]\n",
            "patchesJson6902",
            "target: ",
        ),
    ] {
        let warnings = built(text).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains(&format!("`{old}` is deprecated")) && warnings[0].contains(new),
            "{warnings:?}"
        );
    }
}

#[test]
fn current_fields_have_no_warnings() {
    let output =
        built("resources: [map.yaml, base]\nlabels: [{pairs: {a: b}}]\npatches: [{path: patch.yaml}]\n")
            .unwrap();
    assert_eq!(output.warnings, Vec::<String>::new());
    assert_eq!(output.objects.len(), 2);
}
