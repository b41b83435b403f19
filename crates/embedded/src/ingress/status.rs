//! An Ingress's address, as `kubectl get ingress` shows it.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::rules::is_ours;
use crate::api::{Api, ApiError, INGRESSES};
use crate::controllers::{Outcome, Source, own_key, run};

/// Gives every served Ingress its address, until the set is dropped.
pub(crate) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let sources: Vec<Source> = vec![(INGRESSES, own_key)];
    run(api, tasks, "ingress", sources, |api, key| async move {
        let address = json!({ "ingress": [{ "hostname": "localhost" }] });
        let write = |ingress: &mut Value| {
            let fresh = is_ours(ingress) && ingress["status"]["loadBalancer"] != address;
            if fresh {
                ingress["status"]["loadBalancer"] = address.clone();
            }
            fresh
        };
        match api.modify_status(INGRESSES, &key.0, &key.1, write).await {
            Ok(_) | Err(ApiError::NotFound) => Ok(Outcome::Done),
            Err(error) => Err(error),
        }
    });
}
