//! Each namespace's `default` ServiceAccount.

use serde_json::json;
use tokio::task::JoinSet;

use super::queue::own_key;
use super::{Key, Outcome, Source, run};
use crate::api::{Api, ApiError, NAMESPACES, SERVICE_ACCOUNTS};
use crate::object::{is_deleting, text};

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let sources: Vec<Source> = vec![
        (NAMESPACES, |namespace| Some((text(namespace, "/metadata/name").to_owned(), "default".to_owned()))),
        // One that was deleted comes back.
        (SERVICE_ACCOUNTS, |account| own_key(account).filter(|key| key.1 == "default")),
    ];
    run(api, tasks, "serviceaccount", sources, |api, key| async move { reconcile(&api, &key).await });
}

async fn reconcile(api: &Api, key: &Key) -> Result<Outcome, ApiError> {
    let Some(namespace) = api.get(NAMESPACES, "", &key.0) else { return Ok(Outcome::Done) };
    if is_deleting(&namespace) || api.get(SERVICE_ACCOUNTS, &key.0, &key.1).is_some() {
        return Ok(Outcome::Done);
    }
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": key.1, "namespace": key.0 },
    });
    match api.create(SERVICE_ACCOUNTS, &key.0, account).await {
        Ok(_) | Err(ApiError::Exists) => Ok(Outcome::Done),
        Err(error) => Err(error),
    }
}
