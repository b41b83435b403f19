//! A server under test and the programs that talk to it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use meshy_apiserver::{CertificateAuthority, Options, RunningServer, Server, kubeconfig};
use regex::Regex;

use crate::sessions::Session;

/// A server, and a folder with its kubeconfig and the files of the sessions.
pub(crate) struct Target {
    folder: tempfile::TempDir,
    /// The runtime and the server of this crate; `None` for kube-apiserver.
    _server: Option<(tokio::runtime::Runtime, RunningServer)>,
}

impl Target {
    /// Starts a server of this crate.
    pub(crate) fn embedded() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let server = Server::new(Options::default());
        let authority = CertificateAuthority::new().expect("an authority");
        let running = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            server.serve(listener, &authority).expect("serves")
        });
        let config = kubeconfig("embedded", &running.url(), &authority, server.token()).to_string();
        Self { folder: folder(&config), _server: Some((runtime, running)) }
    }

    /// Returns the kube-apiserver of a kubeconfig.
    pub(crate) fn testbed(kubeconfig: &str) -> Self {
        let config = std::fs::read_to_string(kubeconfig).expect("a kubeconfig");
        Self { folder: folder(&config), _server: None }
    }

    /// Runs the commands of a session in a new namespace and returns the exit code and the output of each.
    pub(crate) fn run(&self, session: &Session) -> Vec<String> {
        // A namespace of an earlier run exists for ever: kube-apiserver alone does not remove its objects.
        let namespace = format!("{}-{}", session.name, std::process::id());
        for (name, text) in session.files {
            let text = text.replace("{ns}", &namespace);
            let file = self.folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("creates the folder");
            std::fs::write(file, text).expect("writes a file");
        }
        let (status, _, stderr) = self.run_program("kubectl", &format!("create namespace {namespace}"), "");
        assert!(status.success(), "{stderr}");
        let output =
            session.commands.iter().map(|command| self.in_namespace(session, &namespace, command)).collect();
        for command in session.cleanup {
            self.run_program("kubectl", command, "");
        }
        self.run_program("kubectl", &format!("delete namespace {namespace} --wait=false"), "");
        output
    }

    /// Runs `COMMAND`, or `COMMAND | COMMAND`, and returns the exit code and the output without values that differ in
    /// each run.
    fn in_namespace(&self, session: &Session, namespace: &str, command: &str) -> String {
        let mut input = String::new();
        let mut shown = String::new();
        for part in command.replace("{ns}", namespace).split(" | ") {
            let line = format!("--namespace={namespace} {part}");
            let (status, stdout, stderr) = self.run_program(session.program, &line, &input);
            shown = format!("{status}\n{stdout}{stderr}");
            input = stdout;
        }
        normalize(&shown).replace(namespace, session.name)
    }

    fn run_program(&self, program: &str, line: &str, input: &str) -> (ExitStatus, String, String) {
        let mut child = Command::new(program)
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            // `kubectl edit` without a change.
            .env("KUBE_EDITOR", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the input is written");
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status, text(&output.stdout), text(&output.stderr))
    }
}

fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_private(&folder.path().join("kubeconfig"), config);
    folder
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(text.as_bytes()).expect("writes the file");
}

/// Replaces times, ages, uids and resource versions.
fn normalize(text: &str) -> String {
    let patterns = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r#"resourceVersion: "?\d+"?"#, "resourceVersion: N"),
        (r"\b\d+(s|m|h|d)\d*(s|m|h)?\b", "AGE"),
        (r"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC", "TIME"),
        (r"/tmp/[^ :]*", "/tmp/FOLDER"),
        (r" +", " "),
    ];
    let text = patterns.iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).expect("a pattern").replace_all(&text, *with).into_owned()
    });
    // kube-apiserver 1.36 has no merge rules for definitions in OpenAPI 2, which kubectl reports.
    let lines =
        text.lines().filter(|line| !line.starts_with("warning: error calculating patch from openapi spec"));
    lines.map(sorted).collect::<Vec<_>>().join("\n")
}

/// Returns a line of JSON with sorted fields, any other line unchanged.
fn sorted(line: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(value) if value.is_object() => value.to_string(),
        _ => line.to_owned(),
    }
}
