//! The ways into the original demo, as `test-services/targets.yaml` declares them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;

use anyhow::Context as _;
use meshy_load::{Target, TargetSpec};

/// The case of a load that names none: minimal-service calls bounced-service.
pub(crate) const DEFAULT: &str = "service";

static DECLARED: LazyLock<BTreeMap<String, TargetSpec>> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("../../test-services/targets.yaml")).expect("a test reads the file")
});

/// Returns the names of the cases.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DECLARED.keys().map(String::as_str)
}

/// Returns the request of a case to a lab's ingress.
///
/// # Errors
/// There is no such case.
pub(crate) fn target(name: &str, ingress: SocketAddr) -> anyhow::Result<Target> {
    let spec = DECLARED.get(name).with_context(|| format!("unknown case `{name}`"))?;
    Ok(Target { server: ingress.into(), ..spec.target()? })
}

#[cfg(test)]
mod tests {
    use meshy_experiment::scenario::{Settings, StatusFrom, shipped};

    use super::*;

    /// `meshy traffic` and `meshy demo` are about the same requests.
    #[test]
    fn each_case_is_a_load_of_the_scenario_retries() {
        let scenario = shipped::find("retries").unwrap().parse(&Settings::default()).unwrap();
        let ingress = "127.0.0.1:80".parse().unwrap();
        assert_eq!(names().collect::<Vec<_>>(), ["ingress", DEFAULT]);
        for name in names() {
            let target = target(name, ingress).unwrap();
            let is_same = scenario.steps.iter().filter_map(|step| step.load.as_ref()).any(|load| {
                let headers: Vec<(&str, &str)> = target
                    .headers
                    .iter()
                    .filter(|(header, _)| *header != http::header::HOST)
                    .filter_map(|(header, value)| Some((header.as_str(), value.to_str().ok()?)))
                    .collect();
                let declared: Vec<(&str, &str)> =
                    load.headers.iter().map(|(header, value)| (header.as_str(), value.as_str())).collect();
                target.headers[http::header::HOST] == load.target.value
                    && target.method == load.method.as_deref().unwrap_or("GET")
                    && Some(target.path.path()) == load.path.as_deref()
                    && target.body == load.body.clone().unwrap_or_default()
                    && target.bounce == (load.status_from == Some(StatusFrom::Body))
                    && headers == declared
            });
            assert!(is_same, "{name}: {target:?}");
        }
        assert!(target("other", ingress).is_err());
    }
}
