//! A cluster that another tool made: asked for, used, given back as it was.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use meshy_lab::image::registry::Client;
use meshy_lab::image::service::{NAME, TAG, binary};
use meshy_lab::image::{Arch, Image};

use crate::user::{Theirs, User, docker};

/// A container that goes with the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.0]).output();
    }
}

/// Brings the test service's image into the engine by the name that is given, through a registry of the test's own.
fn image_into_the_engine(name: &str) {
    let id = docker(&["run", "-d", "-p", "127.0.0.1:0:5000", "registry:2"]);
    let container = Container(id);
    let at = docker(&["port", &container.0, "5000/tcp"]);
    let port = at.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
    let program = binary().expect("a build with the test service: MESHY_EMBED_SERVICE=1");
    let image = Image::for_service(program, Arch::of_static(program).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(format!("localhost:{port}"));
    let begun = Instant::now();
    runtime.block_on(async {
        while client.ping().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the registry does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.push(&image, NAME, TAG).await.unwrap();
    });
    let pushed = format!("localhost:{port}/{NAME}:{TAG}");
    docker(&["pull", "-q", &pushed]);
    docker(&["tag", &pushed, name]);
    docker(&["rmi", &pushed]);
}

const FOREIGN: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: theirs}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: theirs, namespace: default}
---
apiVersion: lab.example.org/v1
kind: Thing
metadata: {name: theirs, namespace: default}
";

/// A tree of our own with a definition, and an object of its kind.
fn definition(folder: &std::path::Path) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("kustomization.yaml"), "resources: [all.yaml]\n").unwrap();
    let all = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.lab.example.org}
spec:
  group: lab.example.org
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: lab.example.org/v1
kind: Thing
metadata: {name: ours, namespace: default}
";
    fs::write(folder.join("all.yaml"), all).unwrap();
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_cluster_of_others_is_changed_with_consent_only_and_given_back_as_it_was() {
    let user = User::new("existing");
    let image = format!("example.org/{NAME}:{TAG}-{}", std::process::id());
    image_into_the_engine(&image);
    let cluster = Theirs::make(&user);
    cluster.load(&image);
    docker(&["rmi", &image]);
    let context = cluster.context();

    // No process to ask, no consent; no image, no services.
    let up = ["up", "--context", &context, "--mesh", "none", "--ingress", "none"];
    let no_image = user.run(&[&up[..], &["--yes"]].concat());
    assert_eq!(no_image.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_image.stderr).contains("--image"));
    let on = |line: &[&'static str]| [line, &["--context", &context]].concat();
    for line in [
        [&up[..], &["--image", &image]].concat(),
        on(&["deploy"]),
        on(&["deploy", "--delete", "minimal-service"]),
        on(&["inject", "deploy/coredns", "-n", "kube-system"]),
        on(&["inject", "--remove", "deploy/coredns", "-n", "kube-system"]),
        on(&["sp", "apply"]),
        on(&["sp", "delete"]),
        on(&["retry", "apply", "kubernetes"]),
        on(&["retry", "delete", "kubernetes"]),
        on(&["split", "delete", "kubernetes"]),
        on(&["fault", "off"]),
    ] {
        let line = &line[..];
        let refused = user.command(line).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--yes"), "{stderr}");
    }
    assert_eq!(user.kubectl("get deploy -o name"), "");

    user.must(&[&up[..], &["--image", &image, "--yes"]].concat());
    let ready = "jsonpath={.items[*].status.readyReplicas}";
    assert_eq!(user.kubectl(&format!("get deploy -o {ready}")), "1 1");
    let tree = user.home.path().join("tree");
    definition(&tree);
    user.must(&["deploy", tree.to_str().unwrap()]);
    let foreign = user.home.path().join("foreign.yaml");
    fs::write(&foreign, FOREIGN).unwrap();
    user.kubectl(&format!("apply -f {}", foreign.display()));

    let down = user.must(&["down"]);
    assert!(down.contains("kept customresourcedefinition `things.lab.example.org`"), "{down}");
    assert_eq!(user.kubectl("get deploy,ingress -o name"), "");
    assert_eq!(user.kubectl("get things -o name"), "thing.lab.example.org/theirs");
    assert_eq!(user.kubectl("get cm theirs -o name"), "configmap/theirs");
    assert_eq!(user.kubectl("get ns theirs -o name"), "namespace/theirs");
    let all = user.kubectl("get all,sa,cm,secret -A -l app.kubernetes.io/managed-by=meshy -o name");
    assert_eq!(all, "");
    assert!(user.kubeconfig().contains(&context), "the user's own context is gone");
    assert!(!user.state().exists());
}
