//! The faults and the policies that viewers can change.

use meshy_page::State;
use meshy_page::control::Fault;
use meshy_policy::{services, test_service};

use super::policies;

/// Reads the faults and the policies that viewers can change, as they are now.
///
/// # Errors
/// The API fails.
pub(super) async fn read(
    state: &mut State,
    client: &kube::Client,
    namespace: &str,
    flags: &str,
) -> anyhow::Result<()> {
    let found = services::with_pods(client, namespace).await?;
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    state.faults.clear();
    for (service, pods) in found.iter().filter(|(_, pods)| !pods.is_empty()) {
        // Other programs than the test service have no faults to set.
        let Ok(fault) = test_service::fault(client, pods).await else { continue };
        let percent = (test_service::fail_ratio(&fault) * 100.0).round() as u8;
        let command = format!("meshy fault {{}} {service} -n {namespace}{flags}");
        state.faults.push(Fault { service: service.clone(), percent, command });
    }
    state.policies = policies::list(client, (namespace, flags), &names).await;
    Ok(())
}
