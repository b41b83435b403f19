//! Discovery, asked once for each group and version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, anyhow};
use kube::api::{Api, ApiResource};
use kube::core::GroupVersion;
use kube::discovery::{ApiGroup, Scope, pinned_group};
use kube::{Client, ResourceExt as _};
use tokio::sync::OnceCell;

use super::{Object, manifest};

/// The kinds that a cluster serves, remembered for the life of this value. Cheap to clone.
#[derive(Clone)]
pub struct Kinds {
    client: Client,
    groups: Arc<Mutex<HashMap<String, Group>>>,
}

type Group = Arc<OnceCell<Arc<ApiGroup>>>;

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kinds").finish_non_exhaustive()
    }
}

impl Kinds {
    /// Remembers nothing yet.
    pub fn new(client: Client) -> Self {
        Self { client, groups: Arc::default() }
    }

    /// The client that asks.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Forgets what is known of a group and version, after a definition was added to it.
    pub fn forget(&self) {
        self.groups.lock().expect("no panic while held").clear();
    }

    /// The resource of a kind and whether its objects live in a namespace.
    ///
    /// # Errors
    /// The cluster does not serve the kind, or does not answer.
    pub async fn resource(&self, api_version: &str, kind: &str) -> anyhow::Result<(ApiResource, bool)> {
        let cell = {
            let mut groups = self.groups.lock().expect("no panic while held");
            groups.entry(api_version.to_owned()).or_default().clone()
        };
        let group = cell.get_or_try_init(|| async {
            let gv: GroupVersion =
                api_version.parse().map_err(|_| anyhow!("`{api_version}` is not an apiVersion"))?;
            match pinned_group(&self.client, &gv).await {
                Ok(group) => Ok(Arc::new(group)),
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    Err(anyhow!("the cluster serves no `{api_version}`"))
                }
                Err(error) => Err(error)
                    .with_context(|| format!("cannot ask the cluster for its `{api_version}` kinds")),
            }
        });
        let group = group.await?;
        let version = api_version.rsplit('/').next().unwrap_or(api_version);
        let found = group.versioned_resources(version).into_iter().find(|(r, _)| r.kind == kind);
        let (resource, capabilities) =
            found.ok_or_else(|| anyhow!("the cluster serves no kind `{kind}` in `{api_version}`"))?;
        Ok((resource, capabilities.scope == Scope::Namespaced))
    }

    /// The API for an object: its own namespace, or `default_namespace` where it names none.
    ///
    /// # Errors
    /// As [`Kinds::resource`].
    pub async fn api(&self, object: &Object, default_namespace: &str) -> anyhow::Result<Api<Object>> {
        let types = object.types.clone().unwrap_or_default();
        let (resource, namespaced) = self
            .resource(&types.api_version, &types.kind)
            .await
            .with_context(|| format!("cannot place {}", manifest::describe(object)))?;
        Ok(if namespaced {
            let namespace = object.namespace().unwrap_or_else(|| default_namespace.to_owned());
            Api::namespaced_with(self.client.clone(), &namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        })
    }
}
