//! A separate user for each test: home, kubeconfig, state and lab, taken down at its end.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A separate user: home, kubeconfig and state in a temporary folder, the lab taken down when the test ends.
pub(crate) struct User {
    pub(crate) home: tempfile::TempDir,
    pub(crate) lab: String,
}

impl User {
    pub(crate) fn new(lab: &str) -> Self {
        Self { home: tempfile::tempdir().unwrap(), lab: format!("e2e-{lab}-{}", std::process::id()) }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshy"));
        command.args(args).args(["--name", &self.lab]);
        command.env("HOME", self.home.path()).env("XDG_STATE_HOME", self.home.path().join("state"));
        command.env_remove("KUBECONFIG").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn must(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "meshy {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &stderr
    }

    pub(crate) fn up(&self) -> String {
        self.must(&UP)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.path().join("state/meshy/labs").join(&self.lab)
    }

    pub(crate) fn kubeconfig(&self) -> String {
        fs::read_to_string(self.home.path().join(".kube/config")).unwrap_or_default()
    }

    /// kubectl with the user's kubeconfig; gives its stdout.
    pub(crate) fn kubectl(&self, line: &str) -> String {
        let config = self.home.path().join(".kube/config");
        let mut args = vec!["--kubeconfig", config.to_str().unwrap()];
        args.extend(line.split(' '));
        run("kubectl", &args)
    }

    /// What `status` says of a lab where all is well. A kubelet that has reported a pod Ready may write an older status over it and
    /// take that back a second later (the transition times of conditions show it), after `up` saw all Ready. Then the pods and
    /// their events are reported, and get a minute to come back by themselves.
    pub(crate) fn well(&self) -> Value {
        let look = || {
            let output = self.run(&["status", "-o", "json"]);
            let status: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.success(), status)
        };
        let (mut well, mut status) = look();
        if !well {
            eprintln!("not well: {}", status["missing"]);
            eprintln!("{}\n{}", self.kubectl("get pods -A -o wide"), self.kubectl("get events -A"));
            self.kubectl("wait --for=condition=Available deployment --all --timeout=60s");
            (well, status) = look();
        }
        assert!(well, "{status}");
        status
    }

    /// Nothing of the lab is left: containers, volumes, kubeconfig entries, state.
    pub(crate) fn assert_gone(&self) {
        let label = format!("label=io.x-k8s.kind.cluster={}", self.lab);
        assert_eq!(docker(&["ps", "-aq", "--filter", &label]), "");
        let registry = format!("name=private-registry-{}", self.lab);
        assert_eq!(docker(&["ps", "-aq", "--filter", &registry]), "");
        assert_eq!(docker(&["volume", "ls", "-q", "--filter", &registry]), "");
        assert!(!self.kubeconfig().contains(&self.lab));
        assert!(!self.state().exists(), "state is left in {}", self.state().display());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Also after a failed assertion; its own result reports nothing then.
        let _ = self.run(&["down"]);
    }
}

/// A plain kind cluster that the user made without meshy; deleted with the test.
pub(crate) struct Theirs(String);

impl Theirs {
    /// Its context becomes the current one of the user's kubeconfig.
    pub(crate) fn make(user: &User) -> Self {
        let theirs = Self(format!("{}-theirs", user.lab));
        let image = std::env::var("MESHY_NODE_IMAGE").expect("tests/testbed.sh sets it");
        let config = user.home.path().join(".kube/config");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        let config = config.to_str().unwrap();
        let create = ["create", "cluster", "-q", "--wait", "120s", "--image", &image, "--kubeconfig", config];
        run("kind", &[&create[..], &["--name", &theirs.0]].concat());
        theirs
    }

    pub(crate) fn context(&self) -> String {
        format!("kind-{}", self.0)
    }

    /// Brings an image of the engine to its nodes.
    pub(crate) fn load(&self, image: &str) {
        run("kind", &["load", "docker-image", "-q", image, "--name", &self.0]);
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = Command::new("kind").args(["delete", "cluster", "--name", &self.0]).output();
    }
}

pub(crate) const UP: [&str; 7] = ["up", "--provider", "kind", "--mesh", "none", "--ingress", "none"];

pub(crate) fn docker(args: &[&str]) -> String {
    run("docker", args)
}

/// Runs a program that must succeed; gives its stdout.
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn networks() -> String {
    docker(&["network", "ls", "--format", "{{.Name}}"])
}
