//! `demo`, `run` and `sweep` on a lab leave its policies and faults as they found them, however they end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Output, Stdio};

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::documents::document;
use crate::home::{Home, signal};

pub(crate) struct Lab {
    pub(crate) home: Home,
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

/// The objects that policies are made of, and how each pod of the failing service fails.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    objects: Vec<Value>,
    faults: Vec<Value>,
}

impl Lab {
    pub(crate) fn up() -> Self {
        let home = Home::new();
        home.good("up --provider embedded");
        home.good("inject");
        let kubeconfig = Kubeconfig::read_from(home.kubeconfig()).expect("the kubeconfig");
        let options =
            KubeConfigOptions { context: Some(kubeconfig.contexts[0].name.clone()), ..Default::default() };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let client = runtime.block_on(async {
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a context");
            kube::Client::try_from(config).expect("a client")
        });
        Self { home, client, runtime }
    }

    /// The names of the namespaces.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let all = self.runtime.block_on(api.list(&Default::default())).expect("a list");
        all.items.into_iter().filter_map(|one| one.metadata.name).collect()
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version) = match kind {
            "ServiceProfile" => ("linkerd.io", "v1alpha2"),
            "HTTPRoute" => ("gateway.networking.k8s.io", "v1"),
            _ => ("", "v1"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    /// Without what the API server counts; managers in a fixed order and without their times.
    pub(crate) fn state(&self) -> State {
        self.runtime.block_on(async {
            let mut objects = Vec::new();
            for kind in ["Service", "ServiceProfile", "HTTPRoute"] {
                for object in self.api(kind).list(&Default::default()).await.expect("a list") {
                    let mut value = json!(object);
                    let metadata = value["metadata"].as_object_mut().expect("metadata");
                    metadata.remove("resourceVersion");
                    metadata.remove("generation");
                    if let Some(managers) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
                        managers
                            .iter_mut()
                            .for_each(|entry| drop(entry.as_object_mut().map(|e| e.remove("time"))));
                        managers.sort_by_key(Value::to_string);
                    }
                    objects.push(value);
                }
            }
            let mut faults = Vec::new();
            for pod in self.api("Pod").list(&Default::default()).await.expect("pods") {
                let name = pod.metadata.name.expect("a name");
                let path = format!("/api/v1/namespaces/default/pods/{name}:9091/proxy/fault");
                let request = http::Request::get(path).body(Vec::new()).expect("a request");
                let text = self.client.request_text(request).await.expect("the fault");
                faults.push(json!([name, serde_json::from_str::<Value>(&text).expect("JSON")]));
            }
            State { objects, faults }
        })
    }

    /// A profile and annotations by other tools, and faults that the user set.
    pub(crate) fn users(&self) {
        let name = "bounced-service.default.svc.cluster.local";
        let profile = json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": {"name": name, "namespace": "default", "labels": {"team": "a"}},
            "spec": {"routes": [{"name": "mine", "condition": {"pathRegex": "/.*"}, "isRetryable": true}],
                "retryBudget": {"retryRatio": 0.5, "minRetriesPerSecond": 1, "ttl": "20s"}},
        });
        let annotations = json!({"metadata": {"annotations": {"retry.linkerd.io/http": "5xx", "team": "a"}}});
        let annotate =
            PatchParams { field_manager: Some("kubectl-annotate".to_owned()), ..PatchParams::default() };
        self.runtime.block_on(async {
            let apply = PatchParams::apply("kubectl");
            self.api("ServiceProfile")
                .patch(name, &apply, &Patch::Apply(&profile))
                .await
                .expect("the profile");
            let services = self.api("Service");
            services
                .patch("bounced-service", &annotate, &Patch::Merge(&annotations))
                .await
                .expect("annotations");
        });
        self.home.good("fault 500,200 bounced-service");
    }

    /// Starts a run and waits until it has measured a second after this line.
    pub(crate) fn running(&self, line: &str, after: &str) -> Running {
        let mut command = self.home.command(line);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(after)), "`{after}` is not shown");
        assert!(lines.any(|line| line.trim_start().starts_with("1s")), "no second is shown after `{after}`");
        // What it still says must go somewhere, or it would wait for a reader.
        let rest = std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
        Running { child, rest }
    }
}

pub(crate) struct Running {
    child: Child,
    rest: std::thread::JoinHandle<String>,
}

impl Running {
    /// Sends a signal and waits for the end; returns the output and the rest of stderr.
    pub(crate) fn end(self, by: Signal) -> (Output, String) {
        signal(self.child.id(), by);
        let output = self.child.wait_with_output().expect("its end");
        (output, self.rest.join().expect("a reader"))
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_demo_leaves_a_lab_without_policies_as_it_found_it() {
    let lab = Lab::up();
    let before = lab.state();
    let output = lab.home.run("demo --fast --on-lab -o json");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let run = document("demo", &String::from_utf8_lossy(&output.stdout));
    assert_eq!((&run["verdict"]["holds"], &run["lab"]), (&json!(true), &json!("meshy")));
    assert!(said(&output).contains("Restoring"), "{}", said(&output));
    assert_eq!(lab.state(), before);
    let left = lab.home.path().join(".local/state/meshy/restore");
    assert_eq!(std::fs::read_dir(left).expect("the folder").count(), 0, "no journal is left");
    // What a lesson does next: no profile is in its way.
    lab.home.good("retry apply");
}

#[test]
fn a_run_whose_file_cannot_be_written_to_its_end_restores_the_lab_and_fails() {
    let lab = Lab::up();
    let before = lab.state();
    let line = "demo --fast --on-lab";
    let output = lab.home.through_shell("trap '' XFSZ; ulimit -f 32", line).output().expect("a shell");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let folder = lab.home.path().join(".local/state/meshy/runs");
    let error = format!("error: the run is not recorded to its end: cannot write {}", folder.display());
    assert!(said(&output).lines().any(|line| line.starts_with(&error)), "{}", said(&output));
    assert!(said(&output).contains("Restoring"), "{}", said(&output));
    assert_eq!(lab.state(), before);
}

#[test]
fn a_demo_gives_policies_of_other_tools_and_the_users_faults_back() {
    let lab = Lab::up();
    lab.users();
    let before = lab.state();
    let refused = lab.home.run("demo --fast --on-lab");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let text = said(&refused);
    assert!(text.contains("field `.spec.routes` is owned by `kubectl`"), "{text}");
    assert!(text.contains("gives them back at its end") && !text.contains("1 of 5"), "{text}");
    assert_eq!(lab.state(), before, "refused before anything was changed");
    let output = lab.home.run("demo --fast --on-lab --force");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(lab.state(), before);
}

#[test]
fn a_sweep_leaves_a_lab_as_it_found_it_also_where_it_fails() {
    let lab = Lab::up();
    lab.home.good("sp apply");
    lab.home.good("fault 33 bounced-service --seed 5");
    let before = lab.state();
    let points = lab.home.good("sweep limit 0,2 --measured --rps 20 --over 1s -o json");
    let points = document("sweep", &points);
    let attempts =
        |point: usize| points[point]["measured"]["attempts_per_request"].as_f64().expect("attempts");
    assert!(attempts(0) == 1.0 && attempts(1) > 1.0, "{points:#}");
    assert_eq!(lab.state(), before);
    // The second point fails: its quota is not a percentage.
    let failed = lab.home.run("sweep min 1,4000000000 --measured --over 1s");
    let text = said(&failed);
    assert!(!failed.status.success(), "{text}");
    assert!(text.contains("Restoring"), "{text}");
    assert_eq!(lab.state(), before);
}

#[test]
fn ctrl_c_and_sigterm_end_an_experiment_with_its_results_and_restore_the_lab() {
    let lab = Lab::up();
    lab.users();
    let before = lab.state();
    let running = lab.running("demo --fast --on-lab --force -o json", "2 of 5");
    assert_ne!(lab.state(), before, "the profile is switched on");
    let (output, rest) = running.end(Signal::INT);
    assert_eq!(output.status.code(), Some(130), "{rest}");
    let run = document("demo", &String::from_utf8_lossy(&output.stdout));
    assert!(run["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{run:#}");
    assert_eq!(lab.state(), before);

    let running = lab.running("sweep rate 5,6 --measured --over 30s --force -o json", "rate 5");
    assert_ne!(lab.state(), before);
    let (output, rest) = running.end(Signal::TERM);
    assert_eq!(output.status.code(), Some(130), "{rest}");
    document("sweep", &String::from_utf8_lossy(&output.stdout));
    assert_eq!(lab.state(), before);
}

#[test]
fn the_deadline_ends_an_experiment_and_restores_the_lab() {
    let lab = Lab::up();
    let before = lab.state();
    let output = lab.home.run("sweep rps 5 --measured --over 60s --timeout 6s");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(lab.state(), before);
}

#[test]
fn what_a_killed_experiment_leaves_is_restored_by_a_later_command() {
    let lab = Lab::up();
    lab.users();
    let before = lab.state();
    let kill = || {
        let running = lab.running("demo --fast --on-lab --force", "2 of 5");
        let second = lab.home.run("sweep rps 5 --measured --over 1s");
        assert!(said(&second).contains("`meshy demo` (process "), "{}", said(&second));
        running.end(Signal::KILL);
        assert_ne!(lab.state(), before, "it is not restored yet");
    };
    kill();
    let output = lab.home.run("demo --restore");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("`meshy demo` was ended before it could restore"), "{}", said(&output));
    assert_eq!(lab.state(), before);
    assert!(said(&lab.home.run("demo --restore")).contains("nothing to restore"));
    // Any command that changes policies restores them first.
    kill();
    lab.home.good("split delete");
    assert_eq!(lab.state(), before);
}

#[test]
fn an_experiment_can_be_ended_at_any_moment() {
    let lab = Lab::up();
    lab.users();
    let before = lab.state();
    // From the start of the process to the second step.
    for (moment, milliseconds) in
        [50, 150, 250, 350, 500, 700, 1000, 2500, 4000, 5500].into_iter().enumerate()
    {
        let by = if moment % 2 == 0 { Signal::KILL } else { Signal::INT };
        let mut child = lab.home.spawn("demo --fast --on-lab --force");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        signal(child.id(), by);
        child.wait().expect("its end");
        if by == Signal::KILL {
            lab.home.good("demo --restore");
        }
        assert_eq!(lab.state(), before, "{by:?} after {milliseconds} ms");
    }
}
