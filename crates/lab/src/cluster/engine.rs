//! The Docker engine, found where the docker program would find it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bollard::errors::Error as EngineError;
use bollard::{API_DEFAULT_VERSION, Docker};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use meshy_base::activity::{self, Kind};
use meshy_base::bounded::{self, Links};
use meshy_base::error::{self, Advise, AdviseError, Exit};
use meshy_base::input;

/// How long an engine may take to report its version; a healthy one takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds for one request to the engine; removing a node of a busy machine takes the longest.
const REQUEST_SECONDS: u64 = 120;

/// A connection to the engine and where it leads.
#[derive(Debug)]
pub struct Engine {
    /// The connection, its API version negotiated.
    pub docker: Docker,
    /// The endpoint as `DOCKER_HOST` spells it, for programs that are started.
    pub endpoint: Endpoint,
}

/// Where an engine listens and where that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// For example `unix:///var/run/docker.sock`.
    pub host: String,
    /// For example ``context `colima` ``.
    pub source: String,
}

impl Engine {
    /// Whether the engine holds an image.
    ///
    /// # Errors
    /// It does not respond.
    pub async fn has_image(&self, image: &str) -> anyhow::Result<bool> {
        let found = there(self.docker.inspect_image(image).await);
        Ok(found.with_context(|| format!("cannot look for image `{image}`"))?.is_some())
    }
}

/// What was looked for, if it is there: only the engine's own "not found" is absence, any other error stays one.
///
/// # Errors
/// All others of the engine's.
pub fn there<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Connects to the engine.
///
/// # Errors
/// No engine responds, the socket is forbidden, or the endpoint is not on this machine.
pub async fn connect() -> anyhow::Result<Engine> {
    let endpoint = endpoint(&Environment::of_process())?;
    let path = match endpoint.host.split_once("://") {
        Some(("unix", path)) => PathBuf::from(path),
        Some((scheme, _)) => {
            return Err(anyhow!("the engine at {} ({}) is not on this machine", endpoint.host, endpoint.source))
                .hint(format!(
                    "meshy binds ports and mounts on this machine, so it takes local sockets only and no `{scheme}`; \
                     `docker context use default` or DOCKER_HOST=unix:///… chooses one; `--provider embedded` needs none"
                ))
                .id("engine-remote")
                .exit(Exit::Prerequisite);
        }
        None => bail!("cannot understand the engine's endpoint `{}` ({})", endpoint.host, endpoint.source),
    };
    let _waiting =
        activity::begin(Kind::Server, format!("waiting for the engine at {} to respond", endpoint.host));
    reachable(&path, &endpoint).await?;
    let at = || format!("no Docker engine responds at {} ({})", endpoint.host, endpoint.source);
    let docker = Docker::connect_with_unix(&endpoint.host, REQUEST_SECONDS, API_DEFAULT_VERSION);
    let negotiated = timeout(TIMEOUT, docker.with_context(at)?.negotiate_version()).await;
    let docker = negotiated.map_err(|_| anyhow!("it did not respond within {} s", TIMEOUT.as_secs()));
    let docker = docker.and_then(|d| d.map_err(Into::into)).with_context(at);
    let docker = docker.hint("restart the engine; `meshy check --machine` checks it again");
    let docker = docker.id("engine-unhealthy").exit(Exit::Prerequisite)?;
    Ok(Engine { docker, endpoint })
}

/// Whether the connection to the engine failed or its response is not valid, other than a refusal.
pub(crate) fn is_connection_lost(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::HyperResponseError { .. }
            | EngineError::HyperLegacyError { .. }
            | EngineError::HttpClientError { .. }
            | EngineError::IOError { .. }
            | EngineError::JsonDataError { .. }
            | EngineError::JsonSerdeError { .. }
            | EngineError::RequestTimeoutError
    )
}

/// Names the engine as the cause where it lost the connection during an operation: the error itself reports only what was
/// being done. The engine's own message stays as it is.
pub fn as_engine_error(error: anyhow::Error) -> anyhow::Error {
    let broke = error.chain().any(|cause| cause.downcast_ref().is_some_and(is_connection_lost));
    if !broke || error::id_of(&error).is_some() {
        return error;
    }
    error
        .context("the Docker engine lost the connection")
        .hint("once it responds, the same command continues where this one ended; `meshy check --machine` checks it")
        .id("engine-unhealthy")
        .exit(Exit::Prerequisite)
}

/// Says what is wrong with a socket in words that a user can act on: the engine's library reports no more than "error".
async fn reachable(path: &Path, endpoint: &Endpoint) -> anyhow::Result<()> {
    use std::io::ErrorKind;
    let Err(error) = tokio::net::UnixStream::connect(path).await else { return Ok(()) };
    let error_kind = error.kind();
    let (what, hint) = match error_kind {
        ErrorKind::NotFound => (
            "no Docker engine was found",
            "start Docker (or Colima, Rancher Desktop …), or use `--provider embedded`, which needs none",
        ),
        ErrorKind::PermissionDenied => (
            "no permission to talk to the Docker engine",
            "add yourself to the socket's group (`sudo usermod -aG docker $USER`, then log in again), \
             or use `--provider embedded`, which needs no engine",
        ),
        ErrorKind::ConnectionRefused => (
            "the Docker engine is not running",
            "start it (`sudo systemctl start docker`), or use `--provider embedded`, which needs none",
        ),
        _ => ("cannot reach the Docker engine", "`meshy check --machine` shows what else is not ready"),
    };
    Err(error)
        .with_context(|| format!("{what}: {} ({})", endpoint.host, endpoint.source))
        .hint(hint)
        .id(if error_kind == ErrorKind::PermissionDenied { "engine-forbidden" } else { "engine-absent" })
        .exit(Exit::Prerequisite)
}

/// What decides where the engine is; taken apart from the process for the tests.
struct Environment {
    docker_host: Option<String>,
    docker_context: Option<String>,
    /// The docker program's configuration folder.
    config: Option<PathBuf>,
    /// Sockets to try, in order.
    sockets: Vec<PathBuf>,
}

impl Environment {
    fn of_process() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let home = std::env::home_dir();
        let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
        // Where rootless engines, Docker Desktop and Colima listen when no user chose a context.
        sockets.extend(var("XDG_RUNTIME_DIR").map(|d| Path::new(&d).join("docker.sock")));
        for below in [".docker/run/docker.sock", ".docker/desktop/docker.sock", ".colima/default/docker.sock"]
        {
            sockets.extend(home.as_ref().map(|h| h.join(below)));
        }
        Self {
            docker_host: var("DOCKER_HOST"),
            docker_context: var("DOCKER_CONTEXT"),
            config: var("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.map(|h| h.join(".docker"))),
            sockets,
        }
    }
}

/// The docker program's own order: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then the context its configuration names, then
/// the default socket.
fn endpoint(around: &Environment) -> anyhow::Result<Endpoint> {
    if let Some(host) = &around.docker_host {
        return Ok(Endpoint { host: host.clone(), source: "from DOCKER_HOST".to_owned() });
    }
    let named = around.docker_context.clone().or_else(|| current_context(around.config.as_deref()?));
    if let Some(name) = named.filter(|n| n != "default") {
        let host = context_host(around.config.as_deref(), &name)?;
        return Ok(Endpoint { host, source: format!("docker context `{name}`") });
    }
    let there = around.sockets.iter().find(|s| s.exists()).or(around.sockets.first());
    let socket = there.context("no place to look for an engine")?;
    Ok(Endpoint { host: format!("unix://{}", socket.display()), source: "the default socket".to_owned() })
}

fn current_context(config: &Path) -> Option<String> {
    let text = bounded::read(&config.join("config.json"), input::LARGEST, Links::Followed).ok()?;
    let config: Value = serde_json::from_slice(&text).ok()?;
    config["currentContext"].as_str().filter(|n| !n.is_empty()).map(str::to_owned)
}

/// A context's file lies in a folder that is named by the digest of the context's name.
fn context_host(config: Option<&Path>, name: &str) -> anyhow::Result<String> {
    let config = config.context("cannot find the docker program's configuration folder")?;
    let digest: String = Sha256::digest(name.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    let file = config.join("contexts/meta").join(digest).join("meta.json");
    let text = bounded::read(&file, input::LARGEST, Links::Followed)
        .with_context(|| format!("cannot read docker context `{name}` from {}", file.display()))
        .hint("`docker context ls` lists the contexts; `docker context use default` goes back to the default")
        .exit(Exit::Prerequisite)?;
    let meta: Value =
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", file.display()))?;
    let host = meta["Endpoints"]["docker"]["Host"].as_str();
    Ok(host.with_context(|| format!("docker context `{name}` names no engine"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(folder: &Path) -> Environment {
        let sockets = vec!["/nowhere/docker.sock".into(), folder.join("there.sock")];
        Environment { docker_host: None, docker_context: None, config: Some(folder.to_owned()), sockets }
    }

    #[test]
    fn the_engine_is_found_in_the_docker_programs_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut around = around(folder.path());
        assert_eq!(endpoint(&around).unwrap().host, "unix:///nowhere/docker.sock");
        std::fs::write(folder.path().join("there.sock"), "").unwrap();
        assert!(endpoint(&around).unwrap().host.ends_with("there.sock"));

        // The folder's name is what `printf colima | sha256sum` prints.
        let meta = "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16";
        let meta = folder.path().join("contexts/meta").join(meta);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(meta.join("meta.json"), r#"{"Endpoints":{"docker":{"Host":"unix:///c.sock"}}}"#)
            .unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"colima"}"#).unwrap();
        assert_eq!(endpoint(&around).unwrap().host, "unix:///c.sock");

        around.docker_context = Some("default".to_owned());
        assert!(endpoint(&around).unwrap().host.ends_with("there.sock"));
        around.docker_context = Some("gone".to_owned());
        assert!(format!("{:#}", endpoint(&around).unwrap_err()).contains("docker context `gone`"));
        around.docker_host = Some("tcp://far:2375".to_owned());
        assert_eq!(endpoint(&around).unwrap().host, "tcp://far:2375");
    }
}
