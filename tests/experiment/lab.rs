//! The commands that look at a cluster, on one embedded lab.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use crate::documents::document;
use crate::home::Home;

struct Lab(Home);

impl Lab {
    fn up() -> Self {
        let home = Home::new();
        home.good("up --provider embedded");
        home.good("inject");
        home.good("deploy minimal-service bounced-service");
        Self(home)
    }

    fn json(&self, schema: &str, line: &str) -> Value {
        document(schema, &self.0.good(&format!("{line} -o json")))
    }

    /// Gives a deployment so many replicas and waits until they are ready.
    fn scale(&self, name: &str, replicas: i32) {
        let kubeconfig = Kubeconfig::read_from(self.0.kubeconfig()).expect("the kubeconfig");
        let context = Some(kubeconfig.contexts[0].name.clone());
        let work = async move {
            let options = KubeConfigOptions { context, ..Default::default() };
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a context");
            let api: Api<Deployment> =
                Api::namespaced(kube::Client::try_from(config).expect("a client"), "default");
            let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
            api.patch(name, &PatchParams::default(), &patch).await.expect("the deployment");
            let ready = move |deployment: Option<&Deployment>| {
                let status = deployment.and_then(|deployment| deployment.status.as_ref());
                status.and_then(|status| status.ready_replicas) == Some(replicas)
            };
            let ready = await_condition(api, name, ready);
            tokio::time::timeout(Duration::from_secs(60), ready).await.expect("in time").expect("a watch");
        };
        tokio::runtime::Runtime::new().expect("a runtime").block_on(work);
    }

    fn refused(&self, line: &str) -> String {
        let output = self.0.run(line);
        assert!(!output.status.success(), "`{line}` is not refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn ratio(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// As on a real Linkerd: a client that discovered a service follows a new profile only after 5 s without requests, and the
/// command waits for that.
#[test]
fn a_load_right_after_sp_apply_is_retried_with_linkerds_discovery_cache() {
    let home = Home::new();
    home.good("up --provider embedded --like-linkerd");
    home.good("fault 100");
    home.good("traffic --rate 4 --duration 1s");
    home.good("sp apply");
    home.good("traffic --rate 4 --duration 2s --expect added-load>100%");
}

#[test]
fn the_tables_the_toggle_and_the_prediction_agree_on_one_lab() {
    let lab = Lab::up();
    faults_change_while_it_runs(&lab);
    targets_that_are_not_there_are_reported_with_those_that_are(&lab);
    a_service_of_the_cluster_is_reached_by_its_name(&lab);
    a_policy_that_changes_under_traffic_leaves_marks(&lab);
    one_toggle_is_measured_before_and_after(&lab);
    tables_of_the_same_seconds_agree(&lab);
    a_sweep_measures_its_points_and_puts_the_lab_back(&lab);
    attempts_are_summed_over_replicas(&lab);
    unmeshed_clients_are_reported(&lab);
}

fn faults_change_while_it_runs(lab: &Lab) {
    assert_eq!(lab.json("fault", "fault")["fail_ratio"], 0.7);
    let script = lab.json("fault", "fault 500,503");
    assert_eq!(script["statuses"], serde_json::json!([500, 503]));
    let run = lab.json("traffic", "traffic --rps 30 --duration 1s");
    let outcomes = run["traffic"]["outcomes_count"].as_object().expect("outcomes");
    assert_eq!(run["traffic"]["succeeded_count"], 0, "{outcomes:?}");
    assert!(outcomes.keys().any(|outcome| outcome.starts_with("200 OK carrying 503")), "{outcomes:?}");
    assert!(lab.0.good("fault 70 --dry-run").is_empty());
    assert_eq!(lab.json("fault", "fault off")["fail_ratio"], 0.0);
    assert_eq!(lab.json("fault", "fault 70")["fail_ratio"], 0.7);
}

fn targets_that_are_not_there_are_reported_with_those_that_are(lab: &Lab) {
    for line in [
        "outcomes no-service",
        "routes no-service",
        "fault 70 no-service",
        "predict --from-cluster --service no",
    ] {
        let text = lab.refused(line);
        assert!(text.contains("there are: ") && text.contains("bounced-service"), "`{line}`: {text}");
    }
    assert!(lab.refused("stat cheese").contains("expected deploy, sts"));
    assert!(lab.refused("stat deploy/no --window 0s").contains("meshy stat deploy"));
    assert!(lab.refused("routes --from deploy/no --window 0s").contains("meshy inject"));
    assert!(lab.refused("traffic --url http://no.default.svc:9090/").contains("bounced-service"));
}

fn a_service_of_the_cluster_is_reached_by_its_name(lab: &Lab) {
    let url = "http://bounced-service.default.svc.cluster.local:9090/";
    let run = lab.json("traffic", &format!("traffic --url {url} --rps 30 --duration 1s"));
    let success = ratio(&run["traffic"]["success_ratio"]);
    // 30 requests at 30 %: between none and 22 but for one run in a million.
    assert!(success < 0.75, "{success}");
    assert_eq!(run["traffic"]["requests_count"], 30);
    let words = lab.0.good(&format!("traffic --url {url} --rps 10 --duration 1s"));
    assert!(words.contains("1 sender on 1 node, 10 requests scheduled"), "{words}");
    // Through a port-forward no client's proxy stands in the way, and that is reported.
    let words = lab.0.good(&format!("traffic --url {url} --rps 10 --duration 1s --via port-forward"));
    assert!(words.contains("no proxy counted a request to bounced-service"), "{words}");
}

fn a_policy_that_changes_under_traffic_leaves_marks(lab: &Lab) {
    let mut command = lab.0.command("traffic --rps 10 --duration 60s -o json");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.trim_start().starts_with("1s")), "traffic does not flow");
    lab.0.good("sp apply");
    assert!(lines.any(|line| line.contains("-- profile on: budget 20 %")), "the profile's mark is missing");
    lab.0.good("sp delete");
    assert!(lines.any(|line| line.contains("-- profile off")), "its end's mark is missing");
    lab.0.good("retry apply --limit 2");
    assert!(lines.any(|line| line.contains("retry.linkerd.io/limit=2")), "the annotations' mark is missing");
    lab.0.good("retry delete");
    crate::home::signal(child.id(), rustix::process::Signal::INT);
    // What it still says must go somewhere, or it would wait for a reader.
    let rest = std::thread::spawn(move || lines.count());
    let output = child.wait_with_output().expect("its end");
    rest.join().expect("a reader");
    let run = document("traffic", &String::from_utf8(output.stdout).expect("text"));
    let marks: Vec<&str> =
        run["marks"].as_array().expect("marks").iter().filter_map(|mark| mark["text"].as_str()).collect();
    assert!(marks.len() >= 3 && marks[0].starts_with("profile on"), "{marks:?}");
    lab.0.good("report --out marks.html");
    let page = std::fs::read_to_string(lab.0.path().join("marks.html")).expect("the page");
    assert!(page.contains("profile off"), "the report's timeline has the marks");
}

fn one_toggle_is_measured_before_and_after(lab: &Lab) {
    let toggle = lab.json("sp-apply-measure", "sp apply --measure 6s --rps 4");
    assert!(ratio(&toggle["before"]["traffic"]["success_ratio"]) < 0.7, "{}", toggle["before"]["traffic"]);
    assert!(ratio(&toggle["after"]["traffic"]["success_ratio"]) > 0.85, "{}", toggle["after"]["traffic"]);
    assert_eq!(toggle["difference"]["verdict"], "better");
}

/// With the profile on.
fn tables_of_the_same_seconds_agree(lab: &Lab) {
    let load = lab.0.spawn("traffic --rps 4 --duration 60s");
    let stop = Stop(load);
    let predicted = lab.json("predict-from-cluster", "predict --from-cluster --over 4s");
    assert_eq!(predicted["within_prediction"], true, "{predicted:#}");
    assert_eq!(predicted["prediction"]["scenario"]["fail_ratio"], 0.7);
    let stat = lab.json("stat", "stat deploy --window 4s");
    let bounced = stat["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["name"] == "bounced-service")
        .expect("a row");
    assert!((0.1..0.75).contains(&ratio(&bounced["success_ratio"])), "{bounced}");
    document("stat", &lab.0.good("stat svc --window 1s -o json"));
    document("stat", &lab.0.good("stat ns -A --window 0s -o json"));
    let routes = lab.json("routes", "routes --window 4s");
    let view = |view: &str| {
        let rows = routes["rows"].as_array().expect("rows").iter();
        rows.clone().find(|row| row["view"] == view).unwrap_or_else(|| panic!("no {view}: {routes}"))
    };
    assert!(ratio(&view("client")["effective_success_ratio"]) > 0.8);
    assert!(ratio(&view("server")["actual_success_ratio"]) < 0.75);
    let outcomes = lab.json("outcomes", "outcomes --window 4s");
    let (first, saved) = (&outcomes["first_attempt_count"], &outcomes["after_retries_count"]);
    assert!(first.is_u64() && saved.as_u64().is_some_and(|saved| saved > 0), "{outcomes}");
    // It never ends by itself, and each table is shown whole.
    let mut watch = lab.0.command("stat --watch --window 500ms");
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let lines = BufReader::new(watch.stdout.take().expect("stdout")).lines().map_while(Result::ok);
    assert_eq!(lines.filter(|line| line.starts_with("NAME")).take(3).count(), 3);
    drop(Stop(watch));
    drop(stop);
}

/// Ends a process that the test started.
struct Stop(std::process::Child);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn a_sweep_measures_its_points_and_puts_the_lab_back(lab: &Lab) {
    let before = lab.0.good("sp show -o json");
    let points = lab.json("sweep", "sweep limit 0,3 --measured --rps 20 --over 3s --svg limit.svg");
    // 60 requests each at 30 % and 76 %: they lie six deviations apart. Whether a point lies within is chance in three of a
    // thousand runs, so what is reported is compared with the intervals.
    let measured = |point: usize| ratio(&points[point]["measured"]["success_ratio"]["mean"]);
    assert!(measured(0) < measured(1), "{points:#}");
    for point in 0..2 {
        let bound = |name: &str| ratio(&points[point]["prediction"]["success_ratio"][name]);
        let (low, mean, high) = (bound("low"), measured(point), bound("high"));
        // The bounds that it is compared with are those of the requests that were sent: perhaps one more or less than predicted.
        let near = [low, high].into_iter().any(|bound| (mean - bound).abs() < 0.02);
        let within = &points[point]["measured"]["within_prediction"];
        assert!(near || *within == (low..=high).contains(&mean), "{points:#}");
    }
    let svg = std::fs::read_to_string(lab.0.path().join("limit.svg")).expect("the curve");
    assert!(svg.contains("<circle"), "measured points stand next to the curve");
    let spec = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["profile"]["spec"].clone();
    assert_eq!(spec(&before), spec(&lab.0.good("sp show -o json")), "the profile is as it was");
    assert_eq!(lab.json("fault", "fault")["fail_ratio"], 0.7);
}

/// With the profile on.
fn attempts_are_summed_over_replicas(lab: &Lab) {
    lab.scale("bounced-service", 3);
    assert_eq!(lab.json("fault", "fault 70")["replicas_count"], 3);
    let run = lab.json("traffic", "traffic --rps 5 --duration 4s");
    let outcomes = &run["mesh"]["outcomes"];
    let by_service = outcomes["first_attempt_count"].as_u64().zip(outcomes["after_retries_count"].as_u64());
    let (first, saved) =
        by_service.unwrap_or_else(|| panic!("the replicas' attempts are not summed: {outcomes}"));
    assert_eq!(
        first + saved,
        run["mesh"]["clients"]["succeeded_count"].as_u64().expect("a count"),
        "{outcomes}"
    );
    assert!(
        saved > 0
            && outcomes["after_retries_by_attempt_count"]
                .as_object()
                .is_some_and(|attempts| !attempts.is_empty()),
        "{outcomes}"
    );
}

fn unmeshed_clients_are_reported(lab: &Lab) {
    lab.0.good("inject --remove deploy/minimal-service deploy/bounced-service");
    let words = lab.0.good("traffic --rps 10 --duration 1s");
    assert!(words.contains("its clients are not meshed") && words.contains("meshy inject"), "{words}");
    let text = lab.0.run("stat --window 0s");
    assert!(String::from_utf8_lossy(&text.stderr).contains("none of these pods has a proxy"), "{text:?}");
}
