//! The mesh's commands on an embedded cluster, as a user types them: inject, sp, retry, split, lint, check.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use meshy_embedded::{Cluster, Options};
use meshy_kube::{Apply, Kinds, Manager, manifest, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

/// A cluster with the two test services, and a kubeconfig that reaches it.
struct Lab {
    cluster: Cluster,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

const SERVICES: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}, annotations: {linkerd.io/inject: enabled}}
    spec:
      containers:
        - name: service
          image: localhost:5000/minimal-service:v1.0.0
          env: [{name: REJECT, value: "1"}, {name: SEQUENCE, value: "ANSWERS"}]
          ports: [{name: http, containerPort: 9090}]
          readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: default}
spec: {selector: {app: NAME}, ports: [{name: http, port: 9090, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME, namespace: default}
spec:
  ingressClassName: nginx
  rules:
    - host: NAME
      http:
        paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 9090}}}}]
"#;

impl Lab {
    async fn start(name: &str, like_linkerd: bool) -> Self {
        let options = Options { linkerd_discovery_cache: like_linkerd, ..Options::ephemeral(name) };
        let cluster = Cluster::start(options).await.expect("an embedded cluster starts");
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
        let lab = Self { cluster, kubeconfig, folder };
        // The original demo's failing service: two of three attempts fail; the caller never does.
        for (name, sequence) in [("bounced-service", "500,500,200"), ("minimal-service", "200")] {
            lab.apply(&SERVICES.replace("NAME", name).replace("ANSWERS", sequence)).await;
        }
        lab
    }

    async fn apply(&self, yaml: &str) {
        let kinds = Kinds::new(self.cluster.client());
        let deadline = Instant::now() + Duration::from_secs(30);
        let objects = manifest::parse(yaml).unwrap();
        let applied = Apply::new(&kinds, Manager::Manifests, deadline).run(objects).await.unwrap();
        let objects: Vec<_> = applied.into_iter().map(|a| a.object).collect();
        wait::ready(&kinds, &objects, deadline, None).await.unwrap();
    }

    /// Runs meshy on the lab; gives its output whatever its status.
    async fn meshy(&self, line: &str) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_meshy"));
        command
            .args(["--context", &self.cluster.context(), "--yes", "--timeout", "40s", "--kubeconfig"])
            .arg(&self.kubeconfig);
        // No lab of the user's must be seen.
        command.args(line.split_whitespace()).env("XDG_STATE_HOME", self.folder.path()).kill_on_drop(true);
        command.output().await.expect("meshy runs")
    }

    /// Runs meshy, expects a status, and gives both of its outputs as one text.
    async fn expect(&self, line: &str, status: i32) -> String {
        let output = self.meshy(line).await;
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "meshy {line}\n{text}");
        text
    }

    /// Posts bounces through the ingress until dropped.
    fn traffic(&self) -> Traffic {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (address, stopped, count) = (self.cluster.ingress_addr(), stop.clone(), sent.clone());
        tokio::spawn(async move {
            let body =
                r#"{"rebound":"true","endpoint":"http://bounced-service.default.svc.cluster.local:9090"}"#;
            let request = format!(
                "POST /bounce HTTP/1.1\r\nhost: minimal-service\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(mut stream) = tokio::net::TcpStream::connect(address).await {
                    let mut answer = Vec::new();
                    let _ = stream.write_all(request.as_bytes()).await;
                    let _ = stream.read_to_end(&mut answer).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        Traffic { stop, sent }
    }
}

struct Traffic {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Traffic {
    async fn flows(&self) {
        while self.sent.load(Ordering::Relaxed) < 3 {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ingress_controller_is_meshed_proven_and_unmeshed() {
    let lab = Lab::start("inject", false).await;
    let text = lab.expect("inject", 0).await;
    assert!(text.contains("proxy as sidecar, ready"), "{text}");
    assert!(text.contains("ingress: 1/1 meshed and ready"), "{text}");
    let again = lab.expect("inject", 0).await;
    assert!(again.contains("unchanged"), "the second time nothing restarts: {again}");
    let text = lab.expect("inject --remove", 0).await;
    assert!(text.contains("no proxy, ready"), "{text}");
    // Its manifest asks for a proxy, so the word becomes `disabled`.
    let text = lab.expect("inject --remove deploy/bounced-service", 0).await;
    assert!(text.contains("disabled"), "{text}");
    let text = lab.expect("inject --all", 0).await;
    assert_eq!(text.matches("proxy as sidecar").count(), 2, "{text}");
    let text = lab.expect("inject deploy/bounced-servce", 2).await;
    assert!(text.contains("did you mean `bounced-service`?"), "{text}");
    let text = lab.expect("inject --explain no-such-pod", 2).await;
    assert!(text.contains("no pod `no-such-pod`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_proven_by_its_clients_counters() {
    let lab = Lab::start("sp", false).await;
    let text = lab.expect("sp apply", 0).await;
    assert!(text.contains("idle; no client has sent a request yet"), "{text}");
    let traffic = lab.traffic();
    traffic.flows().await;
    let text = lab.expect("sp apply", 0).await;
    assert!(text.contains("1 in force") && text.contains("unchanged"), "{text}");
    assert!(text.contains("1 retry per 5 requests"), "{text}");
    let text = lab.expect("sp show -o json", 0).await;
    assert!(text.contains(r#""state": "in-force""#), "{text}");
    let text = lab.expect("retry apply", 6).await;
    assert!(text.contains("switches these retries off"), "{text}");
    lab.expect("sp delete", 0).await;
    let text = lab.expect("retry apply --limit 2", 0).await;
    assert!(text.contains("1 in force"), "{text}");
    let text = lab.expect("retry show", 0).await;
    assert!(text.contains("500-599 retried at most 2 times"), "{text}");
    lab.expect("retry delete", 0).await;
    let text = lab.expect("retry show", 0).await;
    assert!(text.contains("no retry annotations"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_client_is_not_waited_for() {
    let lab = Lab::start("idle", false).await;
    let traffic = lab.traffic();
    traffic.flows().await;
    drop(traffic);
    // meshy did not create the cluster, so a proxy may keep an unused discovery for 5 s: the first change waits for its end.
    for (line, most) in [("sp apply", 10), ("sp show", 5), ("sp delete", 5), ("retry apply", 5)] {
        let begun = Instant::now();
        let text = lab.expect(line, 0).await;
        assert!(begun.elapsed() < Duration::from_secs(most), "`{line}` took {:?}", begun.elapsed());
        assert!(text.contains("idle; the next request will use the policy"), "`{line}`: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_proxies_of_clients_are_scraped_again_and_again() {
    let lab = Lab::start("scrapes", false).await;
    let traffic = lab.traffic();
    traffic.flows().await;
    let text = lab.expect("-vv --color never sp apply", 0).await;
    let scrapes = |service: &str| {
        let of =
            |line: &&str| line.contains(&format!("/pods/{service}-")) && line.contains(":4191/proxy/metrics");
        text.lines().filter(of).filter(|line| line.contains("requesting")).count()
    };
    // The pod of the service itself has a proxy as well, and calls no service.
    assert_eq!(scrapes("bounced-service"), 1, "{text}");
    assert!(scrapes("minimal-service") >= 3, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_of_other_tools_stay_and_are_named() {
    let lab = Lab::start("others", false).await;
    let services: Api<k8s_openapi::api::core::v1::Service> = Api::namespaced(lab.cluster.client(), "default");
    let theirs = serde_json::json!({"metadata": {"annotations": {"retry.linkerd.io/limit": "9"}}});
    let params = PatchParams { field_manager: Some("kubectl-annotate".to_owned()), ..Default::default() };
    services.patch("bounced-service", &params, &Patch::Merge(theirs)).await.unwrap();
    let text = lab.expect("retry apply --limit 3", 1).await;
    let owned = "field `.metadata.annotations.retry.linkerd.io/limit` is owned by `kubectl-annotate`";
    assert!(text.contains(owned), "{text}");
    lab.expect("retry apply --limit 9", 0).await;
    lab.apply(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: bounced-service-retry}\n\
         spec: {parentRefs: [{group: core, kind: Service, name: bounced-service, port: 9090}]}\n",
    )
    .await;
    let text = lab.expect("retry delete", 0).await;
    assert!(text.contains("other tools wrote retry.linkerd.io/limit, which stays"), "{text}");
    assert!(text.contains("kept the httproute `bounced-service-retry`, which"), "{text}");
    lab.expect("policy delete httproute/bounced-service-retry", 0).await;
    lab.expect("retry apply --limit 3 --force", 0).await;
    let text = lab.expect("retry show", 0).await;
    assert!(text.contains("at most 3 times"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_keeps_what_it_discovered_is_stale_until_it_restarts() {
    let lab = Lab::start("stale", true).await;
    let traffic = lab.traffic();
    traffic.flows().await;
    let text = lab.expect("sp apply", 1).await;
    assert!(text.contains("1 stale") && text.contains("--restart-clients"), "{text}");
    let text = lab.expect("sp apply --restart-clients", 0).await;
    assert!(text.contains("minimal-service restarted"), "{text}");
    drop(traffic);
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_finds_in_the_cluster_what_it_finds_in_files() {
    let lab = Lab::start("lint", false).await;
    let text = lab.expect("lint", 0).await;
    assert!(text.contains("nothing found"), "{text}");
    lab.apply(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\n\
         metadata: {name: absent.default.svc.cluster.local, namespace: default}\nspec: {routes: []}\n",
    )
    .await;
    let text = lab.expect("lint -o json", 6).await;
    assert!(text.contains(r#""id": "service-absent""#), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_certs_and_images_know_a_built_in_mesh() {
    let lab = Lab::start("check", false).await;
    let text = lab.expect("check", 0).await;
    assert!(
        text.contains("built into this cluster") && text.contains("the built-in injector responds"),
        "{text}"
    );
    let text = lab.expect("check --certs", 0).await;
    assert!(text.contains("built into this cluster"), "{text}");
    let text = lab.expect("up --images", 0).await;
    assert!(text.contains("cr.l5d.io/linkerd/proxy:edge-26.6.3"), "{text}");
}

const POLICIES: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: bounced-service
  annotations: {timeout.linkerd.io/request: 5s, balancer.linkerd.io/failure-accrual: consecutive}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: bounced-all, annotations: {retry.linkerd.io/http: 5xx, retry.linkerd.io/limit: "2"}}
spec:
  parentRefs: [{group: "", kind: Service, name: bounced-service, port: 9090}]
  rules: [{backendRefs: [{name: bounced-service, port: 9090}]}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: meshed}
spec: {identities: ["*"]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: {name: everywhere}
spec: {networks: [{cidr: 0.0.0.0/0}]}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: bounced}
spec: {podSelector: {matchLabels: {app: bounced-service}}, port: http}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: bounced-meshed}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: bounced}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: meshed}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: bounced-limit}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: bounced}
  total: {requestsPerSecond: 5000}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: outside}
spec: {trafficPolicy: Allow}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_every_kind_are_applied_verified_and_deleted() {
    let lab = Lab::start("policies", false).await;
    let traffic = lab.traffic();
    let file = lab.folder.path().join("policies.yaml");
    std::fs::write(&file, POLICIES).unwrap();
    let text = lab.expect(&format!("policy apply {}", file.display()), 0).await;
    for wanted in ["httproute `bounced-all`", "server `bounced`", "egressnetwork `outside`: not verified"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // The client uses the route, the proxy of the server the Server and its authorization.
    assert!(text.matches("in force").count() >= 3, "{text}");
    let text = lab.expect("policy show bounced-service", 0).await;
    assert!(text.contains("requests of HTTPRoute bounced-all") && text.contains("5000/s per pod"), "{text}");
    let callers = "callers          meshed clients (AuthorizationPolicy bounced-meshed)  [Server bounced: the oldest Server of the port]";
    assert!(text.contains(callers) && text.contains("  endpoints      bounced-service-"), "{text}");
    let text = lab.expect("policy delete httproute/bounced-all", 0).await;
    assert!(text.contains("httproute `bounced-all` deleted"), "{text}");
    let text = lab.expect("policy show bounced-service", 0).await;
    assert!(text.contains("all requests") && text.contains("5s per request"), "{text}");
    let text = lab.expect(&format!("policy delete {}", file.display()), 0).await;
    assert!(
        text.contains("there was no httproute `bounced-all`") && text.contains("server `bounced` deleted"),
        "{text}"
    );
    let text = lab.expect("policy show bounced-service", 0).await;
    assert_eq!(text.matches("[default: no object sets it]").count(), 4, "{text}");
    let callers =
        "callers          every client (all-unauthenticated)  [default: no Server selects the port]";
    assert!(text.contains(callers), "{text}");
    drop(traffic);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_with_a_mistake_is_refused_before_anything_is_written() {
    let lab = Lab::start("mistakes", false).await;
    let file = lab.folder.path().join("policies.yaml");
    let wrong = POLICIES.replace("retry.linkerd.io/limit: \"2\"", "retry.linkerd.io/limit: \"0\"");
    std::fs::write(&file, wrong).unwrap();
    let text = lab.expect(&format!("policy apply {}", file.display()), 6).await;
    assert!(text.contains("retry-limit-zero") && text.contains("nothing was applied"), "{text}");
    let text = lab.expect("policy show bounced-service", 0).await;
    assert!(text.contains("all requests") && !text.contains("5s per request"), "{text}");
    let text = lab.expect("policy delete deployment/web", 2).await;
    assert!(text.contains("deployment/web"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_profile_is_applied_to_any_service() {
    let lab = Lab::start("generated", false).await;
    let text = lab.expect("sp apply --service minimal-service --ratio 0.5 --min 3", 0).await;
    assert!(text.contains("budget: 1 retry per 2 requests, plus 3 retries per second"), "{text}");
    let text = lab.expect("sp apply --service absent", 2).await;
    assert!(text.contains("no service `absent`"), "{text}");
    let openapi = lab.folder.path().join("api.yaml");
    std::fs::write(&openapi, "openapi: 3.0.0\npaths: {\"/cart/{id}\": {get: {}, post: {}}}\n").unwrap();
    let line = format!("sp apply --service minimal-service --openapi {}", openapi.display());
    lab.expect(&line, 0).await;
    let text = lab.expect("policy show minimal-service", 0).await;
    assert!(
        text.contains("ServiceProfile route GET /cart/{id}") && text.contains("1 retry per 5 requests"),
        "{text}"
    );
    std::fs::write(&openapi, "{}").unwrap();
    let text = lab.expect(&line, 2).await;
    assert!(text.contains("neither `openapi` nor `swagger`"), "{text}");
}
