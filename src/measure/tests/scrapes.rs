//! Which proxies a measurement scrapes, against an API that counts the requests to each pod.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use k8s_openapi::api::core::v1 as k8s;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tower::{Service as _, service_fn};

use super::super::*;

/// The metrics of each pod, and how often they were read.
#[derive(Default)]
struct Proxies {
    texts: BTreeMap<&'static str, String>,
    scrapes: BTreeMap<String, u32>,
}

struct World {
    client: kube::Client,
    proxies: Arc<Mutex<Proxies>>,
}

impl World {
    /// Service `cart` in namespace `shop` with the pod `cart-1`; pods of other namespaces, each with its own ServiceAccount.
    async fn new() -> Self {
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let proxies: Arc<Mutex<Proxies>> = Arc::default();
        let scraped = proxies.clone();
        let api = server.service();
        let handler = service_fn(move |request: http::Request<kube::client::Body>| {
            let (mut api, proxies) = (api.clone(), scraped.clone());
            async move {
                let path = request.uri().path();
                let pod = path.strip_suffix(":4191/proxy/metrics").and_then(|path| path.rsplit('/').next());
                let Some(pod) = pod else {
                    let response = api.call(request).await?;
                    return Ok::<_, Infallible>(
                        response.map(|body| body.map_err(|error| error.to_string()).boxed_unsync()),
                    );
                };
                let mut proxies = proxies.lock().unwrap();
                *proxies.scrapes.entry(pod.to_owned()).or_default() += 1;
                let text = proxies.texts.get(pod).cloned().unwrap_or_default();
                let body = Full::from(format!("process_start_time_seconds 1\n{text}"));
                Ok(http::Response::new(body.map_err(|never| match never {}).boxed_unsync()))
            }
        });
        let world = Self { client: kube::Client::new(handler, "default"), proxies };
        for namespace in ["shop", "front", "foreign"] {
            let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
            let api: Api<k8s::Namespace> = Api::all(world.client.clone());
            api.create(&PostParams::default(), &object).await.unwrap();
        }
        let service = json!({"metadata": {"name": "cart"},
            "spec": {"selector": {"app": "cart"}, "ports": [{"port": 80}]}});
        let services: Api<k8s::Service> = Api::namespaced(world.client.clone(), "shop");
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        for (namespace, name) in [
            ("shop", "cart-1"),
            ("front", "web-1"),
            ("foreign", "late-1"),
            ("foreign", "idle-1"),
            ("foreign", "idle-2"),
        ] {
            world.run(namespace, name).await;
        }
        world
    }

    async fn run(&self, namespace: &str, name: &str) {
        let pods: Api<k8s::Pod> = Api::namespaced(self.client.clone(), namespace);
        let app = name.split('-').next();
        let pod = json!({"metadata": {"name": name, "labels": {"app": app}}, "spec": {"serviceAccountName": app,
            "containers": [{"name": "c", "image": "i"}, {"name": "linkerd-proxy", "image": "p"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let runs = Patch::Merge(json!({"status": {"phase": "Running"}}));
        pods.patch_status(name, &PatchParams::default(), &runs).await.unwrap();
    }

    /// Sets how many requests a client has sent to the service so far.
    fn calls(&self, pod: &'static str, count: u32) {
        let text = format!(
            "route_request_total{{direction=\"outbound\",dst=\"cart.shop.svc.cluster.local:80\"}} {count}\n"
        );
        self.proxies.lock().unwrap().texts.insert(pod, text);
    }

    /// Sets how many requests of each identity arrived at the service so far.
    fn arrived(&self, counts: &[(&str, u32)]) {
        let line = |(client, count): &(&str, u32)| {
            format!(
                "request_total{{direction=\"inbound\",tls=\"true\",client_id=\"{client}.serviceaccount.identity.linkerd.cluster.local\"}} \
                 {count}\n"
            )
        };
        self.proxies.lock().unwrap().texts.insert("cart-1", counts.iter().map(line).collect());
    }

    /// Returns the pods that were scraped since the last call; none of them twice.
    fn scraped(&self) -> Vec<String> {
        let scrapes = std::mem::take(&mut self.proxies.lock().unwrap().scrapes);
        assert!(scrapes.values().all(|count| *count == 1), "{scrapes:?}");
        scrapes.into_keys().collect()
    }
}

const ALL: [&str; 5] = ["cart-1", "idle-1", "idle-2", "late-1", "web-1"];

#[tokio::test]
async fn a_measurement_scrapes_servers_and_clients_of_the_service_again_and_no_other_pod() {
    let world = World::new().await;
    let service = Service { namespace: "shop".to_owned(), name: "cart".to_owned() };
    world.calls("web-1", 3);
    world.arrived(&[("web.front", 3)]);
    let before = snapshot(&world.client, &service).await.unwrap();
    assert_eq!(world.scraped(), ALL, "any of them can be a client");

    world.calls("web-1", 8);
    world.arrived(&[("web.front", 8)]);
    let now = before.again().await.unwrap();
    assert_eq!(world.scraped(), ["cart-1", "web-1"]);
    let (mesh, window) = before.until(&now, None);
    assert_eq!(mesh.clients.requests_count, 5);
    // No pod is missing; the test service's admin port is, which nothing serves here.
    assert!(
        window.gaps.iter().all(|gap| gap.starts_with("what service `cart` counted itself: ")),
        "{:?}",
        window.gaps
    );

    world.calls("web-1", 9);
    world.calls("late-1", 4);
    world.arrived(&[("web.front", 9), ("late.foreign", 4)]);
    let later = now.again().await.unwrap();
    assert_eq!(world.scraped(), ["cart-1", "late-1", "web-1"], "its identity is new to the server");
    assert_eq!(before.until(&later, None).0.clients.requests_count, 10);

    world.run("foreign", "new-1").await;
    world.calls("web-1", 10);
    later.again().await.unwrap();
    assert_eq!(world.scraped(), ["cart-1", "late-1", "new-1", "web-1"], "a new pod can be a client");
}

#[tokio::test]
async fn a_measurement_without_a_counted_request_scrapes_every_proxy_again() {
    let world = World::new().await;
    let service = Service { namespace: "shop".to_owned(), name: "cart".to_owned() };
    let before = snapshot(&world.client, &service).await.unwrap();
    world.scraped();
    // No request reaches the server: the service is down.
    world.calls("late-1", 4);
    let now = before.again().await.unwrap();
    assert_eq!(world.scraped(), ALL);
    assert_eq!(before.until(&now, None).0.clients.requests_count, 4);
}
