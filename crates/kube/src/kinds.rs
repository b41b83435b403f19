//! Discovery, requested once for each group and version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::api::{Api, ApiResource};
use kube::{Client, ResourceExt as _};
use tokio::sync::OnceCell;

use super::{Object, manifest};
use meshy_base::error;

/// The status of a path that the server does not know, with or without a `Status` object.
const NOT_FOUND: u16 = 404;

/// An API server does not serve a kind. It is the only failure of discovery that means that there are no such objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API server does not serve `{kind}` of `{api_version}`")]
pub struct NotServed {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

/// Turns [`NotServed`] into none.
///
/// # Errors
/// All others.
pub(crate) fn absent_if_not_served<T>(result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error::cause::<NotServed>(&error).is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The kinds that a cluster serves, remembered for the life of this value. Cheap to clone.
#[derive(Clone)]
pub struct Kinds {
    client: Client,
    groups: Arc<Mutex<HashMap<String, Group>>>,
}

type Group = Arc<OnceCell<Arc<APIResourceList>>>;

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

    /// The client of the requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Forgets what is known of a group and version, after a definition was added to it.
    pub fn forget(&self) {
        self.groups.lock().expect("no panic while held").clear();
    }

    /// Returns the resource of a kind and whether its objects live in a namespace.
    ///
    /// # Errors
    /// [`NotServed`] where the API server reports that; any other failure of the request is that failure.
    pub async fn resource(&self, api_version: &str, kind: &str) -> anyhow::Result<(ApiResource, bool)> {
        let cell = {
            let mut groups = self.groups.lock().expect("no panic while held");
            groups.entry(api_version.to_owned()).or_default().clone()
        };
        let not_served = || NotServed { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let group = cell.get_or_try_init(|| async {
            let found = self.discover(api_version).await;
            let found = found.with_context(|| format!("cannot read which kinds are in `{api_version}`"))?;
            found.map(Arc::new).ok_or_else(|| anyhow::Error::new(not_served()))
        });
        let group = group.await?;
        // A name with a slash is a subresource.
        let found = group.resources.iter().find(|r| r.kind == kind && !r.name.contains('/'));
        let found = found.ok_or_else(not_served)?;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: found.name.clone(),
        };
        Ok((resource, found.namespaced))
    }

    /// As [`Kinds::resource`]; none where the API server reports that it does not serve the kind.
    ///
    /// # Errors
    /// Any other failure.
    pub async fn served(&self, api_version: &str, kind: &str) -> anyhow::Result<Option<(ApiResource, bool)>> {
        absent_if_not_served(self.resource(api_version, kind).await)
    }

    /// Reads the resources of a group and version; none where the API server does not serve it.
    async fn discover(&self, api_version: &str) -> anyhow::Result<Option<APIResourceList>> {
        let read = match api_version.contains('/') {
            true => self.client.list_api_group_resources(api_version).await,
            false => self.client.list_core_api_resources(api_version).await,
        };
        let list = match read {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => {
                // Any web server knows nothing of this path; one that has an API's groups can say what is not among them.
                let groups = self.client.list_api_groups().await?;
                let versions = groups.groups.iter().flat_map(|group| &group.versions);
                let listed = versions.into_iter().any(|version| version.group_version == api_version);
                anyhow::ensure!(!listed, "the API server lists `{api_version}` and then does not find it");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        anyhow::ensure!(
            list.group_version == api_version,
            "the API server returned the kinds of `{}` instead",
            list.group_version
        );
        Ok(Some(list))
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

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    /// The status and body for a path.
    type Respond = fn(&str) -> (u16, String);

    /// A client whose API server responds so.
    fn client(respond: Respond) -> Client {
        let server = service_fn(move |request: Request<Body>| async move {
            let (status, body) = respond(request.uri().path());
            let response = Response::builder().status(status).body(Body::from(body.into_bytes()));
            Ok::<_, kube::Error>(response.expect("a response"))
        });
        Client::new(server, "default")
    }

    fn groups(listed: &str) -> String {
        let version = json!({"groupVersion": listed, "version": "v1"});
        json!({"kind": "APIGroupList", "groups": [{"name": "g", "versions": [version]}]}).to_string()
    }

    fn resources(group_version: &str) -> String {
        let resource = |name: &str, kind: &str| json!({"name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": ["list"]});
        let all = [resource("things", "Thing"), resource("things/status", "Status")];
        json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": all}).to_string()
    }

    async fn find(respond: Respond, kind: &str) -> anyhow::Result<bool> {
        Ok(Kinds::new(client(respond)).served("g/v1", kind).await?.is_some())
    }

    #[tokio::test]
    async fn a_kind_is_absent_only_where_the_api_server_says_so() {
        let served = |_: &str| (200, resources("g/v1"));
        assert!(find(served, "Thing").await.unwrap());
        assert!(!find(served, "Other").await.unwrap());
        assert!(!find(served, "Status").await.unwrap(), "a subresource is not a separate kind");
        let unknown_group = |path: &str| match path {
            "/apis" => (200, groups("other/v1")),
            _ => (404, "404 page not found".to_owned()),
        };
        assert!(!find(unknown_group, "Thing").await.unwrap());
    }

    #[tokio::test]
    async fn every_other_failure_of_discovery_is_an_error() {
        let failures: [Respond; 6] = [
            |_| (404, "404 page not found".to_owned()),
            |path| if path == "/apis" { (200, groups("g/v1")) } else { (404, String::new()) },
            |_| (500, "no".to_owned()),
            |_| (200, "<html>".to_owned()),
            |_| (200, "{}".to_owned()),
            |_| (200, resources("other/v1")),
        ];
        for (number, respond) in failures.into_iter().enumerate() {
            let error = find(respond, "Thing").await.unwrap_err();
            assert!(
                error.to_string().contains("cannot read which kinds are in `g/v1`"),
                "{number}: {error:#}"
            );
        }
    }
}
