//! A cluster that somebody else made: what `up` and the policies put there goes with `down`, and nothing else.
//! `tests/testbed.sh FOLDER` runs it; the cluster is made with kind alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Theirs {
    home: tempfile::TempDir,
    name: String,
}

impl Theirs {
    fn make() -> Self {
        let theirs =
            Self { home: tempfile::tempdir().unwrap(), name: format!("e2e-theirs-{}", std::process::id()) };
        let image = std::env::var("MESHY_NODE_IMAGE").expect("tests/testbed.sh sets it");
        let output = theirs.kind(&["create", "cluster", "--image", &image, "--wait", "120s"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        theirs
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.path().join("kubeconfig")
    }

    fn kind(&self, args: &[&str]) -> Output {
        let mut kind = Command::new("kind");
        kind.args(args).args(["--name", &self.name]).arg("--kubeconfig").arg(self.kubeconfig());
        kind.output().unwrap()
    }

    fn meshy(&self, line: &str) -> Output {
        let mut meshy = Command::new(env!("CARGO_BIN_EXE_meshy"));
        meshy.args(line.split(' ')).args(["--name", "theirs"]).stdin(Stdio::null());
        meshy.env("HOME", self.home.path()).env("XDG_STATE_HOME", self.home.path().join("state"));
        meshy.env("KUBECONFIG", self.kubeconfig()).output().unwrap()
    }

    fn kubectl(&self, line: &str) -> String {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(self.kubeconfig()).args(line.split(' '));
        let output = kubectl.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// All objects but those that controllers make and drop as time goes by.
    fn objects(&self) -> BTreeSet<String> {
        const PASSING: [&str; 7] =
            ["events", "leases", "pods", "endpoints", "endpointslices", "replicasets", "componentstatuses"];
        let kinds = self.kubectl("api-resources --verbs=list -o name");
        let kinds: Vec<&str> =
            kinds.lines().filter(|kind| !PASSING.contains(&kind.split('.').next().unwrap())).collect();
        let list = self.kubectl(&format!("get {} -A --ignore-not-found -o json", kinds.join(",")));
        let list: Value = serde_json::from_str(&list).unwrap();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = |o: &Value| {
            format!(
                "{}/{}/{}",
                word(&o["kind"]),
                word(&o["metadata"]["namespace"]),
                word(&o["metadata"]["name"])
            )
        };
        // What Kubernetes itself gives every namespace, some seconds after it began, and its own namespaces.
        let own = |name: &String| {
            let mut parts = name.split('/').skip(1);
            parts.next().is_some_and(|namespace| namespace.starts_with("kube-"))
                || name.ends_with("/kube-root-ca.crt")
                || (name.starts_with("ServiceAccount/") && name.ends_with("/default"))
        };
        list["items"].as_array().unwrap().iter().map(name).filter(|name| !own(name)).collect()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.kind(&["delete", "cluster"]);
    }
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn down_on_a_cluster_of_others_removes_exactly_what_meshy_applied() {
    let theirs = Theirs::make();
    theirs.kubectl("create namespace shop");
    theirs.kubectl("create configmap settings -n shop --from-literal=a=b");
    theirs.kubectl("create service clusterip web --tcp=80:80");
    let before = theirs.objects();

    let context = format!("--context kind-{}", theirs.name);
    // Without images nothing starts, and everything is applied all the same.
    let images = "--image-registry registry.invalid --image registry.invalid/minimal-service:v1";
    let up = theirs.meshy(&format!("up --provider existing {context} --yes {images}"));
    let stderr = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(1), "{stderr}");
    let added = theirs.objects().difference(&before).count();
    assert!(added > 50, "only {added} objects were added: {stderr}");
    let retry = theirs.meshy(&format!("retry apply web --as route {context}"));
    assert!(retry.status.success(), "{}", String::from_utf8_lossy(&retry.stderr));
    assert!(theirs.objects().contains("HTTPRoute/default/web-retry"));

    let down = theirs.meshy("down");
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    let after = theirs.objects();
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new(), "left behind");
    assert_eq!(
        before.difference(&after).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "taken away from others"
    );
}
