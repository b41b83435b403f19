//! The endpoint of a Service that receives a request of the subresource `services/NAME:PORT/proxy`.

use rand::seq::IndexedRandom;
use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::state::ServerState;
use crate::store::Key;
use crate::value::items;

/// Returns the name and the port of a random ready pod of a Service. `port` is the name or the number of a port of the
/// Service, and empty for the port without a name.
///
/// # Errors
/// 404 if the Service does not exist, 503 if it has no such port or no endpoints.
pub(super) fn endpoint(
    state: &ServerState,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<(String, u16)> {
    let key = Key::new(namespace, name);
    let service = state.store.collection("services").get(&key);
    let service = service.ok_or_else(|| ApiError::not_found("services", name))?;
    let port_name = match port.parse::<u16>() {
        Err(_) => port,
        Ok(number) => {
            let found = items(&service["spec"]["ports"]).find(|port| port["port"] == number);
            let found = found.ok_or_else(|| {
                unavailable(&format!("no service port {number} found for service {name:?}"))
            })?;
            found["name"].as_str().unwrap_or_default()
        }
    };
    let endpoints = state.store.collection("endpoints").get(&key);
    let subsets = endpoints.iter().flat_map(|found| items(&found["subsets"]));
    let ready: Vec<(&str, u16)> = subsets.flat_map(|subset| pods(subset, port_name)).collect();
    let (pod, port) = ready
        .choose(&mut rand::rng())
        .ok_or_else(|| unavailable(&format!("no endpoints available for service {name:?}")))?;
    Ok(((*pod).to_owned(), *port))
}

/// Returns the pods of a subset, each with the port that has this name.
fn pods<'a>(subset: &'a Value, port: &str) -> Vec<(&'a str, u16)> {
    let port = items(&subset["ports"]).find(|found| found["name"].as_str().unwrap_or_default() == port);
    let number = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok());
    let Some(number) = number else { return Vec::new() };
    let names = items(&subset["addresses"]).filter_map(|address| address["targetRef"]["name"].as_str());
    names.map(|name| (name, number)).collect()
}

fn unavailable(why: &str) -> ApiError {
    ApiError::new(503, "ServiceUnavailable", why)
}
