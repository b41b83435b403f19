//! The ServiceAccount `default` of each namespace.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::task::JoinSet;

use super::controller::{Action, Context, Controller, own_key};
use super::queue::Key;
use crate::api::ApiError;
use crate::object::ObjectExt;

/// The name of the account.
const DEFAULT: &str = "default";

pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    Controller::new("serviceaccount", context, tasks)
        .watch::<Namespace>(|namespace| Some((namespace.name().to_owned(), DEFAULT.to_owned())))
        // A deleted account is created again.
        .watch::<ServiceAccount>(|account| own_key(account).filter(|key| key.1 == DEFAULT))
        .start(|context, key| async move { reconcile(&context, &key).await });
}

async fn reconcile(context: &Context, key: &Key) -> Result<Action, ApiError> {
    let (namespace, name) = key;
    let Some(found) = context.api.get::<Namespace>("", namespace) else { return Ok(Action::AwaitChange) };
    if found.is_deleting() || context.api.get::<ServiceAccount>(namespace, name).is_some() {
        return Ok(Action::AwaitChange);
    }
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    match context.api.create(&account).await {
        Ok(_) | Err(ApiError::AlreadyExists) => Ok(Action::AwaitChange),
        Err(error) => Err(error),
    }
}
