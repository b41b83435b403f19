//! The real kubectl against an embedded lab: what a person types to look around and to change things exits with 0 and
//! says nothing on stderr, no warning above all. `MESHY_TESTBED=FOLDER` names the folder whose `unpack` prints where
//! kubectl is; without it every test here is ignored.
#![cfg(unix)]

#[allow(dead_code, reason = "shared with the tests of the tool under kills, which need more of it")]
#[path = "../support/home.rs"]
mod home;
mod lab;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread::spawn;
use std::time::Duration;

use lab::Lab;

/// Nothing waited for here takes this long; a test that waits longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The three files that `apply` and its kin are tried with.
const FILES: [(&str, &str); 3] = [
    (
        "plain.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain, labels: {set: tried}}\ndata: {a: \"1\"}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: plain, labels: {set: tried}}\n\
         spec: {selector: {app: owned}, ports: [{name: http, port: 9090}]}\n",
    ),
    (
        "owned.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: owned}\nspec:\n  selector: {matchLabels: {app: owned}}\n  \
         template:\n    metadata: {labels: {app: owned}}\n    spec:\n      \
         containers: [{name: service, image: \"localhost:5000/minimal-service:v1.0.0\"}]\n",
    ),
    (
        "profile.yaml",
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: plain.default.svc.cluster.local}\nspec:\n  \
         routes: [{name: \"GET /\", condition: {method: GET, pathRegex: /}, isRetryable: true}]\n",
    ),
];

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn kubectl_shows_everything_in_each_of_its_forms() {
    let lab = Lab::start();
    for form in [
        "",
        "-o wide",
        "-o yaml",
        "-o json",
        "-o kyaml",
        "-o name",
        "-o jsonpath={.items[*].metadata.name}",
        "-o jsonpath-as-json={.items[*].metadata.name}",
        "-o custom-columns=NAME:.metadata.name,AGE:.metadata.creationTimestamp",
        "-o go-template={{.kind}}",
        "--show-labels",
        "--sort-by=.metadata.name",
        "--no-headers",
        "--chunk-size=1",
        "-l app=minimal-service",
    ] {
        let shown = lab.quiet(&format!("get pods {form}"));
        assert!(shown.contains("minimal-service") || form.contains("go-template"), "{form}: {shown}");
    }
    let wide = lab.quiet("get pods -A -o wide");
    assert!(wide.contains("NOMINATED NODE") && wide.contains("linkerd-destination-"), "{wide}");
    let kinds = "deploy,rs,svc,ep,endpointslices,ing,ingressclass,sa,events,ns,nodes,crd";
    lab.quiet(&format!("get {kinds} -A"));
    lab.quiet(&format!("get {kinds} -A -o wide"));
    lab.quiet("get all -A");
    lab.quiet("get pods --field-selector status.phase=Running");
    lab.quiet("get deploy minimal-service --subresource=scale -o yaml");
    lab.quiet("get events --sort-by=.lastTimestamp");
    lab.quiet("events --for deploy/minimal-service");
    lab.quiet("get --raw /readyz");
    lab.quiet("version");
    lab.quiet("cluster-info");
    lab.quiet("api-versions");
    let resources = lab.quiet("api-resources -o wide");
    for kind in ["Deployment", "ServiceProfile", "HTTPRoute", "Lease", "EndpointSlice", "IngressClass"] {
        assert!(resources.contains(kind), "{kind}: {resources}");
    }
    assert!(!resources.contains("StatefulSet"), "nothing would run it: {resources}");
    assert!(lab.quiet("explain deploy.spec.template.spec").contains("containers"));
    assert!(lab.quiet("explain serviceprofile.spec.routes").contains("isRetryable"));
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn kubectl_describes_each_kind() {
    let lab = Lab::start();
    for (what, expected) in [
        ("pods", "Started"),
        ("pods -n ingress-nginx", "ingress-nginx-controller"),
        ("deploy minimal-service", "ScalingReplicaSet"),
        ("rs", "1 current / 1 desired"),
        ("svc minimal-service", "10.244."),
        ("endpointslices", "Addresses"),
        ("ns default", "Active"),
        ("node", "KubeletReady"),
        ("ingress", "minimal-service:9090"),
        ("ingressclass nginx", "k8s.io/ingress-nginx"),
        ("sa default", "default"),
        ("crd serviceprofiles.linkerd.io", "v1alpha2"),
    ] {
        let text = lab.quiet(&format!("describe {what}"));
        assert!(text.contains(expected), "describe {what}: {text}");
    }
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn kubectl_makes_changes_rolls_and_undoes_a_deployment() {
    let lab = Lab::start();
    let rolled = || lab.quiet("rollout status deploy/web --timeout=60s");
    for line in [
        "create namespace shop",
        "create configmap settings --from-literal=A=1",
        "create secret generic hidden --from-literal=password=x",
        "create serviceaccount robot",
        "create deployment web --image=localhost:5000/minimal-service:v1.0.0 --replicas=2 --port=9090",
        "create ingress door --class=nginx --rule=door/*=web:9090",
        "expose deployment web --port=80 --target-port=9090",
    ] {
        lab.quiet(line);
    }
    rolled();
    lab.quiet("wait --for=condition=Available deploy/web --timeout=60s");
    lab.quiet("wait --for=condition=Ready pod -l app=web --timeout=60s");
    lab.quiet("wait --for=jsonpath={.status.readyReplicas}=2 deploy/web --timeout=60s");
    assert!(lab.quiet("describe svc web").contains(":9090,"), "two endpoints");
    lab.quiet("scale deploy web --replicas=3");
    rolled();
    lab.quiet("scale deploy web --replicas=2 --current-replicas=3");
    for line in [
        "label deploy web tier=front",
        "label deploy web tier=back --overwrite",
        "label deploy web tier-",
        "annotate deploy web note=hello",
        "annotate deploy web note-",
        "set image deploy/web minimal-service=localhost:5000/minimal-service:v1.0.1",
        "set env deploy/web GREETING=hello",
        "set env deploy/web --from=configmap/settings",
        "set resources deploy/web --limits=cpu=1",
        "set serviceaccount deploy/web robot",
    ] {
        lab.quiet(line);
        rolled();
    }
    assert!(lab.quiet("set env deploy/web --list").contains("GREETING=hello"));
    let history = lab.quiet("rollout history deploy/web");
    assert!(
        history.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count() >= 5,
        "{history}"
    );
    assert!(lab.quiet("rollout history deploy/web --revision=2").contains("v1.0.1"));
    lab.quiet("rollout undo deploy/web");
    rolled();
    lab.quiet("rollout undo deploy/web --to-revision=1");
    rolled();
    let image = "get deploy web -o jsonpath={.spec.template.spec.containers[0].image}";
    assert!(lab.quiet(image).ends_with("v1.0.0"), "the first image again");
    lab.quiet("rollout restart deploy/web");
    rolled();
    lab.quiet("rollout pause deploy/web");
    lab.quiet("rollout resume deploy/web");
    for patch in [
        r#"-p {"spec":{"template":{"metadata":{"labels":{"strategic":"yes"}}}}}"#,
        r#"--type=merge -p {"metadata":{"labels":{"merge":"yes"}}}"#,
        r#"--type=json -p [{"op":"remove","path":"/metadata/labels/merge"}]"#,
    ] {
        lab.quiet(&format!("patch deploy web {patch}"));
    }
    rolled();
    lab.quiet("delete pods -l app=web --wait");
    rolled();
    for line in [
        "delete svc web",
        "delete ingress door",
        "delete deploy web --cascade=foreground",
        "delete cm --all",
        "delete secret hidden",
        "delete ns shop",
    ] {
        lab.quiet(line);
    }
    assert_eq!(lab.quiet("get pods -l app=web -o name"), "");
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn kubectl_applies_both_ways_and_shows_the_difference() {
    let lab = Lab::start();
    for (name, text) in FILES {
        std::fs::write(lab.path().join(name), text).expect("writes a file");
    }
    for round in ["created", "unchanged"] {
        assert!(lab.quiet("apply -f plain.yaml").contains(round));
    }
    assert_eq!(lab.quiet("diff -f plain.yaml"), "");
    assert!(lab.quiet("apply view-last-applied cm/plain").contains("a: \"1\""));
    let changed = FILES[0].1.replace("a: \"1\"", "b: \"2\"");
    std::fs::write(lab.path().join("plain.yaml"), changed).expect("writes a file");
    let (code, text) = lab.diff("diff -f plain.yaml");
    assert!(code == Some(1) && text.contains("-  a: \"1\"") && text.contains("+  b: \"2\""), "{text}");
    lab.quiet("apply -f plain.yaml");
    assert_eq!(lab.quiet("get cm plain -o jsonpath={.data}"), r#"{"b":"2"}"#);
    for line in [
        "apply --server-side -f owned.yaml",
        "apply --server-side -f owned.yaml",
        "apply --server-side -f owned.yaml --field-manager=other --force-conflicts",
        "diff --server-side -f owned.yaml",
        "rollout status deploy/owned --timeout=60s",
        "apply --server-side -f profile.yaml",
        "describe serviceprofile",
        "replace -f plain.yaml",
        "delete -f plain.yaml",
        "delete -f owned.yaml --cascade=foreground",
        "delete -f profile.yaml",
    ] {
        lab.quiet(line);
    }
    let strict = lab.refused("create deployment x --image=y --replicas=-1");
    assert!(strict.contains("error"), "{strict}");
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn kubectl_follows_logs_and_watches() {
    let lab = Lab::start();
    let follow = |line: &str| {
        let mut child =
            lab.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        (child, lines)
    };
    let until = |lines: &mpsc::Receiver<String>, what: &str| {
        while !lines.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("no line with {what}")).contains(what) {}
    };
    lab.quiet("run one --image=localhost:5000/minimal-service:v1.0.0");
    lab.quiet("wait --for=condition=Ready pod/one --timeout=60s");
    let (mut logs, lines) = follow("logs -f one");
    until(&lines, "service listens on");
    let (mut watch, changes) = follow("get cm -w --no-headers");
    lab.quiet("create configmap seen --from-literal=a=1");
    until(&changes, "seen");
    watch.kill().expect("ends");
    watch.wait().expect("ended");
    // The log ends with its pod, and kubectl with it.
    lab.quiet("delete pod one");
    let ended = logs.wait().expect("ended");
    assert!(ended.success(), "{ended}");
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn what_is_not_served_is_refused_with_a_word_about_it() {
    let lab = Lab::start();
    let text = lab.refused("port-forward deploy/minimal-service 0:9090");
    assert!(text.contains("SPDY") && text.contains("meshy port-forward"), "{text}");
    let text = lab.refused("exec deploy/minimal-service -c service -- ls");
    assert!(text.contains("does not serve pods/exec"), "{text}");
    let text = lab.refused("delete ns default");
    assert!(text.contains("this namespace may not be deleted"), "{text}");
}
