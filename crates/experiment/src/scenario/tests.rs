//! Parsing, strictness, settings, selection and round trip of scenario files.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Scenario, Settings, policies, shipped};

const SMALL: &str = "\
apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: small, title: Small }
topology:
  services: [{ name: front }, { name: cart }]
parameters:
  rate: { default: 10/s }
  errors: { default: 50%, choices: [50%, 100%] }
variants:
  - { name: none }
  - { name: budget, policies: [bounced-service-sp.yaml] }
steps:
  - name: calm
    load: { target: front, rate: \"${rate}\", duration: 10s }
    fast: { duration: 2s }
  - name: faulty
    faults: [{ service: cart, errors: \"${errors}\", at: 1s, for: 2s }]
    load: { target: front, rate: \"${rate}\", duration: 10s }
  - name: pause
    wait: 5s
expect:
  - calm.success > faulty.success
  - budget/faulty.success@front->cart >= 80%
  - faulty.p99 < 1s
fast:
  set: { rate: 20/s }
  variants: [budget]
  steps: [calm, faulty]
";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse("s.yaml", text, &Settings::default()).map_err(|error| error.to_string())
}

fn with(set: &[(&str, &str)]) -> Result<Scenario, String> {
    let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Scenario::parse("s.yaml", SMALL, &Settings { set, fast: false }).map_err(|error| error.to_string())
}

/// Replaces a part of the small scenario and returns the error.
fn broken(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    parse(&SMALL.replacen(from, to, 1)).expect_err(to)
}

#[test]
fn a_scenario_is_read_with_the_defaults_of_its_parameters() {
    let scenario = parse(SMALL).unwrap();
    let load = scenario.step("faulty").unwrap().load.as_ref().unwrap();
    assert_eq!((load.rate.0, scenario.duration().to_string().as_str()), (10.0, "25s"));
    assert_eq!(scenario.step("faulty").unwrap().watched(), Some("cart"));
    assert_eq!(scenario.conditions().len(), 3);
    // A mark names the service before it.
    assert_eq!(scenario.step("faulty").unwrap().faults[0].to_string(), "50% errors");
}

#[test]
fn a_scenario_is_the_same_after_writing_and_reading() {
    for text in [SMALL.to_owned()].into_iter().chain(shipped::shipped().iter().map(|s| s.text.to_owned())) {
        let mut scenario = parse(&text).unwrap();
        let written = scenario.to_yaml().unwrap();
        let again = parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
        scenario.parameters.clear();
        if let Some(fast) = &mut scenario.fast {
            fast.set.clear();
        }
        assert_eq!(again, scenario);
    }
}

#[test]
fn an_error_has_file_line_and_the_nearest_valid_name() {
    let cases = [
        (
            "duration: 10s }\n    fast",
            "durration: 10s }\n    fast",
            "s.yaml:14:",
            "unknown key `durration`; did you mean `duration`?",
        ),
        ("service: cart", "service: cat", "s.yaml:17:25", "unknown service `cat`; did you mean `cart`?"),
        (
            "target: front, rate: \"${rate}\", duration: 10s }\n  - name: p",
            "target: fornt, rate: \"${rate}\", duration: 10s }\n  - name: p",
            "s.yaml:18:21",
            "did you mean `front`?",
        ),
        ("- calm.success >", "- clam.success >", "s.yaml:22:5", "unknown step `clam`; did you mean `calm`?"),
        (
            "> faulty.success",
            "> faulty.sucess",
            "s.yaml:22:27",
            "unknown metric `sucess`; did you mean `success`?",
        ),
        (
            "> faulty.success",
            "> faulty.success\n  - calm.outcomes.denied == 0",
            "s.yaml:23:5",
            "`outcomes.denied` needs a place, write `outcomes.denied@SERVICE`",
        ),
        (
            "> faulty.success",
            "> faulty.success\n  - calm.outcomes.after-retries@cart > 1%",
            "s.yaml:23:5",
            "`outcomes.after-retries` is not counted in a run",
        ),
        ("budget/faulty", "buget/faulty", "s.yaml:23:5", "unknown variant `buget`; did you mean `budget`?"),
        ("front->cart", "front->card", "s.yaml:23:", "unknown service `card`"),
        ("[calm, faulty]", "[calm, fault]", "s.yaml:28:", "unknown step `fault`; did you mean `faulty`?"),
        ("name: pause", "name: calm", "s.yaml:19:11", "there are two steps `calm`"),
        ("name: pause", "name: Pause_1", "s.yaml:19:11", "invalid name `Pause_1`"),
        ("name: pause", "name: success", "s.yaml:19:11", "is the name of a metric"),
        ("for: 2s", "for: 20s", "s.yaml:17:", "the fault ends at 21 s, the step at 10s"),
        ("\"${errors}\"", "\"${error}\"", "s.yaml:17:", "unknown parameter `error`; did you mean `errors`?"),
        ("kind: Scenario", "kind: Topology", "s.yaml:2:7", "unknown kind `Topology`"),
        ("meshy/v1alpha1", "meshy/v2", "s.yaml:1:13", "unknown apiVersion `meshy/v2`"),
        ("wait: 5s", "wait: 5", "s.yaml:20:", "invalid value `5`, expected a duration"),
        ("wait: 5s", "wait: 5s\n    wait: 6s", "s.yaml:21:", "key `wait` is given twice"),
        (
            "    wait: 5s\n",
            "    wait: 5s\n    load: { target: front, rate: 1/s, duration: 1s }\n",
            "s.yaml:19:",
            "has both `load` and `wait`",
        ),
        ("errors: \"${errors}\", at", "at", "s.yaml", "parameter `errors` is not used"),
    ];
    for (from, to, place, text) in cases {
        let error = broken(from, to);
        assert!(error.contains(place) && error.contains(text), "{to}:\n{error}");
    }
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let text = SMALL.replacen("service: cart", "service: cat", 1).replacen(
        "- calm.success >",
        "- clam.success >",
        1,
    );
    assert_eq!(parse(&text).unwrap_err().lines().count(), 2);
}

#[test]
fn blocks_have_the_one_size_of_the_test_service_and_a_whole_number_of_failures() {
    let fault = "errors: \"${errors}\", at: 1s, for: 2s";
    for size in ["0", "2", "20"] {
        let error = broken(fault, &format!("errors: \"${{errors}}\", blocks: {size}"));
        assert!(error.contains("s.yaml:17:"), "{error}");
        assert!(error.contains(&format!("invalid `blocks: {size}`, expected 10")), "{error}");
    }
    let ten = SMALL.replacen(fault, "errors: \"${errors}\", blocks: 10", 1);
    parse(&ten).unwrap();
    let quarter = ten.replacen("default: 50%, choices: [50%, 100%]", "default: 25%", 1);
    assert!(parse(&quarter).unwrap_err().contains("whole number of failures"));
}

#[test]
fn faults_and_loads_that_make_no_sense_are_errors() {
    let fault = |text: &str| broken("errors: \"${errors}\", at: 1s, for: 2s", text);
    assert!(fault("blocks: 10, errors: \"${errors}\", sequence: [500]").contains("exclude each other"));
    assert!(fault("errors: \"${errors}\", down: true").contains("cannot be combined"));
    let words = fault("sequence: [\"${errors}\"]");
    assert!(words.contains("s.yaml:17:"), "{words}");
    assert!(parse(&SMALL.replace("rate: { default: 10/s }", "rate: { default: 0/s }")).is_err());
    let zero = broken("rate: \"${rate}\", duration: 10s }\n    fast", "rate: 0/s, duration: 10s }\n    fast");
    assert!(zero.contains("s.yaml:14:") && zero.contains("expected a rate above zero"), "{zero}");
    let senders = broken("duration: 10s }\n    fast", "duration: 10s, senders: 0 }\n    fast");
    assert!(senders.contains("`senders` is 0"), "{senders}");
}

#[test]
fn a_setting_replaces_a_default_of_its_type() {
    let scenario = with(&[("rate", "5/s"), ("rate", "7/s")]).unwrap();
    assert_eq!(scenario.steps[0].load.as_ref().unwrap().rate.0, 7.0);
    let error = |set: &[(&str, &str)]| with(set).unwrap_err();
    assert_eq!(error(&[("rat", "5/s")]), "--set: unknown parameter `rat`; did you mean `rate`?");
    assert_eq!(
        error(&[("rate", "5")]),
        "--set: invalid value `5` of parameter `rate`, expected a rate such as 30/s"
    );
    assert!(error(&[("errors", "60%")]).contains("expected one of: 50%, 100%"));
    // A value cannot change the structure of the file.
    assert!(error(&[("rate", "5/s\", x: \"")]).contains("invalid value"));
}

#[test]
fn fast_changes_parameters_steps_and_variants_and_drops_their_expectations() {
    let fast = |set| Scenario::parse("s.yaml", SMALL, &Settings { set, fast: true }).unwrap();
    let scenario = fast(Vec::new());
    let load = scenario.steps[0].load.as_ref().unwrap();
    assert_eq!((load.rate.0, load.duration.to_string().as_str()), (20.0, "2s"));
    assert_eq!((scenario.steps.len(), scenario.variants.len(), scenario.expect.len()), (2, 1, 3));
    let set = vec![("rate".to_owned(), "30/s".to_owned())];
    assert_eq!(fast(set).steps[1].load.as_ref().unwrap().rate.0, 30.0, "a flag wins over the file");
}

#[test]
fn one_step_or_the_rest_can_be_selected() {
    let only = parse(SMALL).unwrap().only("faulty").unwrap();
    assert_eq!((only.steps.len(), only.expect.len()), (1, 2));
    assert_eq!(parse(SMALL).unwrap().start_at("faulty").unwrap().steps.len(), 2);
    let error = parse(SMALL).unwrap().only("fault").unwrap_err();
    assert_eq!(error.to_string(), "--only: unknown step `fault`; did you mean `faulty`?");
}

#[test]
fn the_load_lasts_as_long_as_the_trigger_is_observed() {
    let storm = shipped::find("storm").unwrap();
    let of = |trigger: &str, fast| {
        let set = if trigger.is_empty() { vec![] } else { vec![("trigger".to_owned(), trigger.to_owned())] };
        let scenario = storm.parse(&Settings { set, fast }).unwrap();
        (scenario.steps[0].duration().to_string(), scenario.duration().to_string(), scenario.variants.len())
    };
    assert_eq!(of("", false), ("56s".to_owned(), "81s".to_owned(), 5));
    assert_eq!(of("slow=3x:30s", false).0, "78s");
    assert_eq!(of("", true), ("17s".to_owned(), "17s".to_owned(), 2));
}

#[test]
fn a_service_that_the_topology_does_not_have_is_an_error() {
    let storm = shipped::find("storm").unwrap().parse(&Settings::default()).unwrap();
    assert_eq!(storm.check_services("storm.yaml", &["front", "cart", "price", "stock"]), Ok(()));
    let error = storm.check_services("storm.yaml", &["front", "cart", "price", "stok"]).unwrap_err();
    assert!(error.problems[0].to_string().contains("did you mean `stok`?"), "{error}");
}

#[test]
fn a_policy_for_a_service_that_the_topology_does_not_have_is_an_error() {
    let storm = shipped::find("storm").unwrap();
    let (near, path) = (policies::near_shipped(&storm), storm.path);
    let storm = storm.parse(&Settings::default()).unwrap();
    let files = storm.policy_files(path, near).unwrap();
    assert_eq!(storm.check_policies(path, &files, &["front", "cart", "price", "stock"]), Ok(()));
    let error = storm.check_policies(path, &files, &["front", "cart", "prize", "stock"]).unwrap_err();
    let expected = "policy `policies/chain-budget.yaml`: unknown service `price`; did you mean `prize`?";
    assert!(error.problems.iter().any(|problem| problem.to_string().ends_with(expected)), "{error}");
    assert!(error.problems.iter().all(|problem| problem.line.is_some()), "{error}");
}

#[test]
fn a_condition_of_the_command_line_names_a_step_a_variant_and_a_service_of_the_run() {
    let mut small = Scenario::parse("s.yaml", SMALL, &Settings::default()).unwrap().only("calm").unwrap();
    let mut add = |text: &str| small.expect_also(text.parse().unwrap()).map_err(|error| error.to_string());
    assert_eq!(add("success > 1%"), Ok(()));
    assert_eq!(add("clam.success > 1%").unwrap_err(), "--expect: unknown step `clam`; did you mean `calm`?");
    // Only the step that runs.
    assert!(add("faulty.success > 1%").unwrap_err().contains("unknown step `faulty`"));
    let unknown = add("buget/calm.success > 1%").unwrap_err();
    assert_eq!(unknown, "--expect: unknown variant `buget`; did you mean `budget`?");
    let mut small = Scenario::parse("s.yaml", SMALL, &Settings::default()).unwrap();
    small.expect_also("calm.success@crat > 1%".parse().unwrap()).unwrap();
    let unknown = small.check_services("s.yaml", &["front", "cart"]).unwrap_err().to_string();
    assert_eq!(unknown, "--expect: unknown service `crat`; did you mean `cart`?");
}

#[test]
fn every_shipped_scenario_is_valid_and_so_are_its_policies() {
    let all = shipped::shipped();
    let mut policy_names = BTreeSet::new();
    for scenario in &all {
        for fast in [false, true] {
            let settings = Settings { set: Vec::new(), fast };
            let parsed = scenario.parse(&settings).unwrap_or_else(|error| panic!("{error}"));
            let base = scenario.name.rsplit('/').next().unwrap();
            assert_eq!(parsed.metadata.name.value, base);
            assert!(parsed.metadata.title.is_some() && parsed.metadata.summary.is_some(), "{base}");
            assert!(!parsed.expect.is_empty(), "{base}");
            let found = parsed.policy_files(scenario.path, policies::near_shipped(scenario));
            let found = found.unwrap_or_else(|error| panic!("{error}"));
            policy_names.extend(found.into_values().map(|file| file.name));
        }
    }
    let is_lesson = |scenario: &shipped::Shipped| scenario.name.starts_with("lesson/");
    assert!(all.is_sorted_by_key(is_lesson), "lessons come last");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    for folder in [folder.join("policies"), folder.join("lessons/policies")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let name = Path::new("policies").join(file.unwrap().file_name());
            assert!(policy_names.contains(name.to_str().unwrap()), "{} is not used", name.display());
        }
    }
}

#[test]
fn the_topology_of_every_shipped_scenario_is_valid_and_has_the_services_that_it_names() {
    for shipped in shipped::shipped() {
        let scenario = shipped.parse(&Settings::default()).unwrap();
        let topology = scenario.topology.as_ref().unwrap();
        let parsed = match topology.name() {
            // Overlays: their services are those of the original demo.
            Some("original-demo") => {
                let known = scenario.check_services(shipped.path, &["minimal-service", "bounced-service"]);
                assert_eq!(known, Ok(()));
                continue;
            }
            Some(name) => meshy_topology::Topology::load(name).unwrap_or_else(|error| panic!("{error}")),
            None => {
                let text = serde_yaml::to_string(&topology.0).unwrap();
                meshy_topology::Topology::parse(shipped.path, &text)
                    .unwrap_or_else(|error| panic!("{error}\n{text}"))
            }
        };
        let services: Vec<&str> = parsed.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(scenario.check_services(shipped.path, &services), Ok(()), "{}", shipped.name);
        let files = scenario.policy_files(shipped.path, policies::near_shipped(&shipped)).unwrap();
        assert_eq!(scenario.check_policies(shipped.path, &files, &services), Ok(()), "{}", shipped.name);
    }
}

#[test]
fn the_variants_of_the_storm_are_the_policies_that_are_simulated() {
    let storm = shipped::find("storm").unwrap().parse(&Settings::default()).unwrap();
    let variants: Vec<&str> = storm.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(variants, meshy_predict::storm::policies().map(|policy| policy.name));
}

#[test]
fn lint_finds_in_shipped_policies_only_what_a_lesson_is_about() {
    let mut found = BTreeSet::new();
    for shipped in shipped::shipped() {
        let scenario = shipped.parse(&Settings::default()).unwrap();
        for file in
            scenario.policy_files(shipped.path, policies::near_shipped(&shipped)).unwrap().into_values()
        {
            let mut world = meshy_linkerd::lint::World::new();
            for object in file.objects("default").unwrap() {
                world.add_target(object, Some(&file.name));
            }
            let findings = meshy_linkerd::lint::lint(&world);
            found.extend(
                findings.iter().map(|finding| format!("{} {} {}", file.name, finding.id, finding.what)),
            );
        }
    }
    // The lesson shows that this field has no effect.
    let expected = "policies/app-timeout-backend-request.yaml timeout-backend-request backendRequest `200ms`";
    assert_eq!(found, BTreeSet::from([expected.to_owned()]));
}

#[test]
fn every_step_of_a_lesson_has_text_question_and_reason_and_takes_at_most_20_s_in_fast() {
    let lessons = shipped::shipped().into_iter().filter(|scenario| scenario.name.starts_with("lesson/"));
    for lesson in lessons {
        let scenario = lesson.parse(&Settings { set: Vec::new(), fast: true }).unwrap();
        for step in &scenario.steps {
            let texts = [&step.text, &step.question, &step.why];
            assert!(texts.iter().all(|text| text.is_some()), "{} {}", lesson.name, step.name.value);
        }
        assert!(scenario.duration().0.as_secs() <= 20, "{}: {}", lesson.name, scenario.duration());
    }
}

#[test]
fn a_policy_is_looked_up_near_the_scenario_first_then_among_the_shipped() {
    let none = |_: &str| None;
    let shipped = policies::find("bounced-service-sp.yaml", none).unwrap();
    assert_eq!(shipped.place, "linkerd/service-profiles/bounced-service-sp.yaml");
    let near = |_: &str| Some("kind: Server\nmetadata: { name: \"a.${namespace}.svc\" }\n".to_owned());
    let own = policies::find("bounced-service-sp.yaml", near).unwrap();
    assert_eq!(own.objects("shop").unwrap()[0]["metadata"]["name"], "a.shop.svc");
    let error = policies::find("bounced-service-ps.yaml", none).unwrap_err().to_string();
    assert!(error.contains("did you mean `bounced-service-sp.yaml`?"), "{error}");
    assert!(policies::find("../secret.yaml", |_| Some(String::new())).is_err());
    let deployment = policies::find("x.yaml", |_| Some("kind: Deployment\n".to_owned())).unwrap();
    assert!(deployment.objects("x").unwrap_err().text.contains("unknown policy kind `Deployment`"));
}
