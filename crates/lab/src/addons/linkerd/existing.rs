//! A control plane that is there already, and whose it is.

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::Api;

use super::NAMESPACE;
use meshy_base::error::{Advise, Exit};
use meshy_kube::is_from_meshy;

/// What is found in the control plane's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// One that meshy created.
    Ours {
        /// By its settings.
        version: String,
    },
    /// One that another tool made.
    Foreign {
        /// By its settings.
        version: String,
    },
}

/// Looks for a control plane by its settings, which every way of installing leaves.
///
/// # Errors
/// The cluster cannot be read.
pub async fn find(client: &Client) -> anyhow::Result<Found> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let there = maps.get_opt("linkerd-config").await.context("cannot look for Linkerd's settings")?;
    let Some(map) = there else { return Ok(Found::Nothing) };
    let settings = map.data.as_ref().and_then(|data| data.get("values"));
    let settings: serde_json::Value =
        settings.and_then(|text| serde_yaml::from_str(text).ok()).unwrap_or_default();
    let version = settings["linkerdVersion"].as_str().unwrap_or("of an unknown version").to_owned();
    let ours = is_from_meshy(&map);
    Ok(if ours { Found::Ours { version } } else { Found::Foreign { version } })
}

/// Whether a foreign control plane can be worked with: ServiceProfiles, annotations and HTTPRoutes as meshy writes them
/// came together in 2.16 (edge-24.8).
///
/// # Errors
/// It is older.
pub fn acceptable(version: &str) -> anyhow::Result<()> {
    let Some(age) = order(version) else { return Ok(()) };
    if age < order("edge-24.8.1").unwrap_or_default() {
        return Err(anyhow!("Linkerd {version} is installed, which is older than 2.16"))
            .hint("upgrade it, or use a cluster without it; meshy never replaces a control plane that it did not create")
            .id("linkerd-old")
            .exit(Exit::Prerequisite);
    }
    Ok(())
}

/// Versions in one order: `edge-YY.M.N`, and `stable-2.X` by the time it came out; none for other names.
fn order(version: &str) -> Option<(u32, u32)> {
    let numbers =
        |text: &str| -> Vec<u32> { text.split(['.', '-']).filter_map(|n| n.parse().ok()).collect() };
    if let Some(rest) = version.strip_prefix("edge-") {
        let numbers = numbers(rest);
        return Some((*numbers.first()?, *numbers.get(1)?));
    }
    let rest =
        version.strip_prefix("stable-").or_else(|| version.strip_prefix("enterprise-")).unwrap_or(version);
    match numbers(rest)[..] {
        // 2.16 came in August 2024, and a version about every four months since.
        [2, minor, ..] => Some(if minor >= 16 { (24, 8) } else { (0, minor) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_control_plane_is_refused_and_an_unknown_one_taken() {
        for fine in ["edge-26.6.3", "edge-24.8.2", "stable-2.16.0", "2.20.1", "enterprise-2.18.0", "dev-0ab1"]
        {
            assert!(acceptable(fine).is_ok(), "{fine}");
        }
        for old in ["stable-2.14.10", "edge-23.5.1", "2.12.0"] {
            assert!(acceptable(old).is_err(), "{old}");
        }
    }
}
