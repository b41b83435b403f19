//! Which images this node runs, and what it says of the others.

/// What stands behind an image here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// This repository's test service.
    Service,
    /// The cluster's own ingress.
    Ingress,
    /// The mesh's proxy: works as long as its pod runs.
    Proxy,
    /// Sets up a pod's redirection, which the network does here: ends at once.
    ProxyInit,
    /// A part of the cluster itself, shown as a Deployment; its work is done inside the process.
    BuiltIn,
}

/// Where the images of what is built in claim to come from; no registry has this name.
pub(crate) const BUILT_IN: &str = "meshy.invalid/built-in";

/// The image of the proxy that the injector puts into pods.
pub(crate) fn proxy_image() -> String {
    format!("{BUILT_IN}/proxy:{}", env!("CARGO_PKG_VERSION"))
}

/// The image of a part that is built in.
pub(crate) fn built_in_image(part: &str) -> String {
    format!("{BUILT_IN}/{part}:{}", env!("CARGO_PKG_VERSION"))
}

/// What runs behind an image's name: any registry's `minimal-service`, whatever its tag or digest.
///
/// # Errors
/// The message of ErrImagePull, for an image that this node does not run.
pub(crate) fn program(image: &str) -> Result<Program, String> {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let last = name.rsplit('/').next().unwrap_or(name);
    let last = last.split_once(':').map_or(last, |(last, _)| last);
    if let Some(part) = name.strip_prefix(BUILT_IN).and_then(|rest| rest.strip_prefix('/')) {
        return match part.split_once(':').map_or(part, |(part, _)| part) {
            "ingress" => Ok(Program::Ingress),
            "proxy" => Ok(Program::Proxy),
            "proxy-init" => Ok(Program::ProxyInit),
            _ => Ok(Program::BuiltIn),
        };
    }
    if last == "minimal-service" {
        return Ok(Program::Service);
    }
    Err(format!(
        "the embedded cluster cannot run \"{image}\": its pods are tasks of meshy itself, and the only image they \
         run is minimal-service; for other images use a KinD cluster: meshy up --provider kind"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Program, program, proxy_image};

    #[test]
    fn the_test_service_runs_from_any_registry() {
        for image in [
            "minimal-service",
            "minimal-service:v2",
            "localhost:5000/minimal-service:v1.0.0",
            "registry.example/team/minimal-service@sha256:00",
            "localhost:5000/minimal-service:v1@sha256:00",
        ] {
            assert_eq!(program(image), Ok(Program::Service), "{image}");
        }
        assert_eq!(program(&proxy_image()), Ok(Program::Proxy));
    }

    #[test]
    fn another_image_is_told_what_runs_here_and_where_it_would_run() {
        for image in ["nginx", "minimal-service-v2:1", "localhost:5000/other:minimal-service"] {
            let message = program(image).unwrap_err();
            assert!(message.contains("minimal-service") && message.contains("--provider kind"), "{message}");
        }
    }
}
