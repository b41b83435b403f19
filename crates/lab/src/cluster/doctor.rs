//! The host's preflight: what a KinD lab needs of this machine, each finding with what to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tokio::time::timeout;

use super::engine;
use meshy_base::Report;
use meshy_base::error::{Advise, Exit};
use meshy_base::exec::{find, first_line};

/// How long one check may take; all run at the same time and must end within 2 s.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// Since this version of kind its nodes look into a folder for how to reach a registry; before, each cluster had to be configured.
const KIND: (u32, u32) = (0, 27);

/// Below these, several nodes on one machine run out of watches (kind's known issue "too many open files").
const INOTIFY: [(&str, u64); 2] = [("max_user_instances", 256), ("max_user_watches", 65536)];

/// Bytes that node and registry images with a little use need.
const DISK: u64 = 6 << 30;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It may do.
    Warning,
    /// A KinD lab cannot be made.
    Missing,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing is.
    pub todo: String,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name, verdict, found: found.into(), todo: todo.into() }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, found, "")
    }
}

/// Checks what a new KinD lab needs, reports the warnings once, and fails if something is missing. Ports are left out: `up` finds
/// free ones and reports which.
///
/// # Errors
/// Something is missing ([`Exit::Prerequisite`]).
pub(crate) async fn preflight(report: &Report) -> anyhow::Result<()> {
    for check in checks(&[]).await {
        let Check { name, verdict, found, todo } = check;
        match verdict {
            Verdict::Ok => {}
            Verdict::Warning => report.warn(format!("{name}: {found}; {todo}")),
            Verdict::Missing => {
                let missing = Err(anyhow!("{found}")).with_context(|| format!("{name} cannot be used"));
                return missing.hint(todo).exit(Exit::Prerequisite);
            }
        }
    }
    Ok(())
}

/// Looks at everything at once. `ports` are those that a new lab would like.
pub async fn checks(ports: &[u16]) -> Vec<Check> {
    let (engine, docker, kind) = tokio::join!(
        engine(),
        program("docker", &["--version"], "kind uses it: install Docker's command line"),
        program("kind", &["version"], "install it from https://kind.sigs.k8s.io"),
    );
    let mut all = engine;
    all.extend([docker, old_kind(kind), port_check(ports), cgroup(), inotify(), proxy()]);
    all
}

/// The engine's check, and with it where its images lie.
async fn engine() -> Vec<Check> {
    match timeout(TIMEOUT, asked_engine()).await {
        Ok(checks) => checks,
        Err(_) => {
            let found = format!("it does not respond within {:.1} s", TIMEOUT.as_secs_f64());
            vec![Check::new("engine", Verdict::Missing, found, "restart the engine")]
        }
    }
}

async fn asked_engine() -> Vec<Check> {
    let engine = match engine::connect().await {
        Ok(engine) => engine,
        Err(error) => {
            let todo = meshy_base::error::hints(&error).join("; ");
            return vec![Check::new("engine", Verdict::Missing, format!("{error:#}"), todo)];
        }
    };
    let info = match engine.docker.info().await {
        Ok(info) => info,
        Err(error) => {
            return vec![Check::new("engine", Verdict::Missing, error.to_string(), "restart the engine")];
        }
    };
    let at = format!(
        "{} at {} ({})",
        info.server_version.unwrap_or_default(),
        engine.endpoint.host,
        engine.endpoint.source
    );
    let mut all = vec![Check::ok("engine", at)];
    if let Some(root) = info.docker_root_dir {
        all.push(disk(Path::new(&root)));
    }
    all
}

async fn program(name: &'static str, args: &[&str], todo: &str) -> Check {
    if find(name).is_none() {
        return Check::new(name, Verdict::Missing, "not in PATH", todo);
    }
    match first_line(name, args, TIMEOUT).await {
        Ok(line) => Check::ok(name, line),
        Err(error) => Check::new(name, Verdict::Missing, format!("{error:#}"), todo),
    }
}

/// A kind that is there and too old is a warning: its nodes come up and cannot pull from the private registry.
fn old_kind(kind: Check) -> Check {
    let version = kind.found.split_whitespace().find_map(|w| w.strip_prefix('v'));
    let mut numbers = version.unwrap_or_default().split('.').map_while(|n| n.parse().ok());
    match (kind.verdict, numbers.next().zip(numbers.next())) {
        (Verdict::Ok, Some(version)) if version < KIND => {
            let todo = "its nodes do not look for the private registry; install 0.27 or newer";
            Check::new(kind.name, Verdict::Warning, kind.found, todo)
        }
        _ => kind,
    }
}

fn port_check(ports: &[u16]) -> Check {
    let taken: Vec<String> =
        ports.iter().filter(|p| super::port_taken(**p)).map(ToString::to_string).collect();
    if taken.is_empty() {
        return Check::ok("ports", "80, 443 and 5000 are free");
    }
    let found = format!("taken: {}", taken.join(", "));
    Check::new("ports", Verdict::Warning, found, "a new lab uses the next free ones and reports them")
}

fn cgroup() -> Check {
    if !cfg!(target_os = "linux") {
        return Check::ok("cgroups", "the engine's own machine");
    }
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Check::ok("cgroups", "version 2");
    }
    let todo = "Kubernetes 1.35 refuses version 1 unless its kubelet is configured otherwise; boot with systemd.unified_cgroup_hierarchy=1";
    Check::new("cgroups", Verdict::Warning, "version 1", todo)
}

fn inotify() -> Check {
    let low: Vec<String> = INOTIFY
        .iter()
        .filter_map(|(name, least)| {
            let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?;
            let value: u64 = text.trim().parse().ok()?;
            (value < *least).then(|| format!("{name} is {value}"))
        })
        .collect();
    if low.is_empty() {
        return Check::ok("inotify", "limits suffice");
    }
    let todo = "sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288";
    Check::new("inotify", Verdict::Warning, low.join(", "), todo)
}

fn disk(root: &Path) -> Check {
    // An engine in a virtual machine names a folder that is not on this one.
    let Ok(stat) = rustix::fs::statvfs(root) else { return Check::ok("disk", "the engine's own machine") };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{:.0} GiB free in {}", free as f64 / f64::from(1 << 30), root.display());
    if free >= DISK {
        return Check::ok("disk", found);
    }
    Check::new("disk", Verdict::Warning, found, "`docker system prune` frees some; 6 GiB are needed")
}

fn proxy() -> Check {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
    let set: Vec<&str> =
        names.into_iter().filter(|n| std::env::var_os(n).is_some_and(|v| !v.is_empty())).collect();
    if set.is_empty() {
        return Check::ok("proxy", "no proxy variables");
    }
    let no_proxy = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
    let direct = no_proxy.contains("localhost") || no_proxy.contains("127.0.0.1");
    let found = format!("{} set", set.join(", "));
    if direct {
        return Check::ok("proxy", format!("{found}, localhost is excluded"));
    }
    let todo =
        "kind hands them to the nodes: add localhost,127.0.0.1,.svc,10.96.0.0/16,10.244.0.0/16 to NO_PROXY";
    Check::new("proxy", Verdict::Warning, found, todo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_before_0_27_is_warned_of() {
        let verdict = |line: &str| old_kind(Check::ok("kind", line)).verdict;
        assert_eq!(verdict("kind v0.26.0 go1.23.4 linux/amd64"), Verdict::Warning);
        assert_eq!(verdict("kind v0.27.0 go1.24 linux/amd64"), Verdict::Ok);
        assert_eq!(verdict("kind v1.2.0"), Verdict::Ok);
        assert_eq!(verdict("kind (devel)"), Verdict::Ok);
    }
}
