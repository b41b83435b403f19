//! Credential plugins: a program that a kubeconfig's user names (`exec`). It runs only for a context that the user
//! named, in this command or in the `up` of the lab; its output is bounded, and it ends with the command that waits for it.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::load::{Exec, Found, User, shown};
use super::paths::relative_to;
use meshy_base::activity::{self, Kind};
use meshy_base::error::{Advise, Exit};
use meshy_base::exec::children;

/// How much a plugin may print, in bytes; a token or certificate has a few thousand.
const LIMIT: u64 = 1 << 20;

/// A plugin that is ready to run.
pub(super) struct Plugin {
    exec: Exec,
    command: PathBuf,
    cluster: Option<Value>,
}

/// What a plugin issued.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) token: Option<String>,
    /// Client certificate and private key in PEM.
    pub(super) certificate: Option<(String, String)>,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Response {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

impl Plugin {
    /// Returns the plugin of a user, if its entry names one. `cluster` is what the plugin gets about the cluster if the entry
    /// asks for that.
    pub(super) fn of(user: &Found<User>, cluster: &Value) -> Option<Self> {
        let exec = user.content.exec.clone()?;
        // As for kubectl, a bare name is looked up in PATH.
        let path = exec.command.contains('/');
        let command =
            if path { relative_to(&user.file, &exec.command) } else { PathBuf::from(&exec.command) };
        let cluster = exec.provide_cluster_info.then(|| cluster.clone());
        Some(Self { exec, command, cluster })
    }

    /// Runs the plugin.
    ///
    /// # Errors
    /// It cannot be started, fails, or its output is not a credential. The error does not show the output.
    pub(super) async fn run(&self) -> anyhow::Result<Issued> {
        let named = format!("exec plugin `{}`", shown(&self.exec.command));
        let output = self.output().await.with_context(|| format!("{named} failed"));
        let output = match &self.exec.install_hint {
            Some(hint) if output.is_err() => output.hint(shown(hint.trim())),
            _ => output,
        };
        let text = output.exit(Exit::Prerequisite)?;
        issued(&text).with_context(|| format!("{named} printed no credential")).exit(Exit::Prerequisite)
    }

    async fn output(&self) -> anyhow::Result<String> {
        let terminal = std::io::stdin().is_terminal();
        let interactive = match self.exec.interactive_mode.as_deref() {
            Some("Never") => false,
            Some("Always") if !terminal => return Err(anyhow!("it needs a terminal on stdin")),
            _ => terminal,
        };
        let mut spec = json!({ "interactive": interactive });
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        let info = json!({"apiVersion": self.exec.api_version, "kind": "ExecCredential", "spec": spec});
        let mut command = Command::new(&self.command);
        command.args(self.exec.args.iter().flatten());
        command.envs(self.exec.env.iter().flatten().map(|variable| (&variable.name, &variable.value)));
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
        command.stdout(Stdio::piped());
        let plugin = shown(&self.exec.command);
        let _waiting =
            activity::begin(Kind::Program, format!("waiting for the exec plugin `{plugin}` to end"));
        let mut child = command.spawn().context("cannot start it")?;
        let tree = children::Tree::of(child.id());
        let stdout = child.stdout.take().context("it has no stdout")?;
        let mut text = Vec::new();
        stdout.take(LIMIT + 1).read_to_end(&mut text).await.context("cannot read its output")?;
        anyhow::ensure!(text.len() as u64 <= LIMIT, "it printed more than {} MiB", LIMIT >> 20);
        let status = child.wait().await.context("cannot wait for it")?;
        tree.ended();
        anyhow::ensure!(status.success(), "it ended with {status}");
        String::from_utf8(text).map_err(|_| anyhow!("its output is not UTF-8"))
    }
}

fn issued(text: &str) -> anyhow::Result<Issued> {
    // The causes would show the output, which holds a secret.
    let response: Response =
        serde_yaml::from_str(text).map_err(|_| anyhow!("the output is not an ExecCredential"))?;
    let status = response.status.context("the output has no status")?;
    let expires = status.expiration_timestamp.filter(|end| !end.is_empty());
    let expires = expires.map(|end| end.parse()).transpose().context("invalid expirationTimestamp")?;
    let certificate = status.client_certificate_data.zip(status.client_key_data);
    anyhow::ensure!(
        status.token.is_some() || certificate.is_some(),
        "it has neither a token nor a certificate"
    );
    Ok(Issued { token: status.token, certificate, expires })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn plugin(script: &str) -> Plugin {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script],
            "env": [{"name": "TOKEN", "value": "abc"}],
            "installHint": "install it",
            "provideClusterInfo": true,
        });
        let content = User { exec: Some(serde_json::from_value(exec).unwrap()), ..User::default() };
        let user = Found { file: PathBuf::from("/home/config"), name: "u".to_owned(), content };
        Plugin::of(&user, &json!({"server": "https://h"})).unwrap()
    }

    async fn error(script: &str) -> String {
        let error = plugin(script).run().await.unwrap_err();
        assert_eq!(meshy_base::error::exit_of(&error), Exit::Prerequisite);
        format!("{error:#}")
    }

    #[tokio::test]
    async fn the_plugin_gets_what_the_kubeconfig_says_and_issues_a_token() {
        let script = "case $KUBERNETES_EXEC_INFO in *'\"server\":\"https://h\"'*) ;; *) exit 1;; esac; \
                      printf '{\"status\": {\"token\": \"%s\", \"expirationTimestamp\": \"2999-01-01T00:00:00Z\"}}' $TOKEN";
        let issued = plugin(script).run().await.unwrap();
        assert_eq!(issued.token.as_deref(), Some("abc"));
        assert!(issued.expires.is_some() && issued.certificate.is_none());
    }

    #[tokio::test]
    async fn errors_name_the_plugin_and_show_no_secret() {
        for (script, cause) in [
            ("exit 7", "exec plugin `sh` failed: it ended with exit status: 7"),
            ("yes", "exec plugin `sh` failed: it printed more than 1 MiB"),
            (
                "echo 'status: SECRET'",
                "exec plugin `sh` printed no credential: the output is not an ExecCredential",
            ),
            ("echo '{}'", "exec plugin `sh` printed no credential: the output has no status"),
            (
                "echo 'status: {}'",
                "exec plugin `sh` printed no credential: it has neither a token nor a certificate",
            ),
            ("printf '\\377'", "exec plugin `sh` failed: its output is not UTF-8"),
        ] {
            assert_eq!(error(script).await, cause);
        }
        let mut absent = plugin("");
        absent.command = PathBuf::from("/absent/plugin");
        let error = absent.run().await.unwrap_err();
        assert_eq!(meshy_base::error::hints(&error), ["install it"]);
    }

    #[tokio::test]
    async fn a_plugin_that_sleeps_ends_with_its_caller() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let plugin = plugin(&format!("echo $$ > {}; exec sleep 1000", file.display()));
        let begin = Instant::now();
        let pid = async {
            loop {
                match std::fs::read_to_string(&file) {
                    Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let pid = tokio::select! {
            pid = pid => pid,
            result = plugin.run() => panic!("{result:?}"),
        };
        let process = pid.parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        // Killed, and reaped by the runtime soon after.
        while rustix::process::test_kill_process(process).is_ok() {
            assert!(begin.elapsed() < Duration::from_secs(10), "process {pid} still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
