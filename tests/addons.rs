//! The add-ons' manifests before a real kube-apiserver: `MESHY_TESTBED=FOLDER cargo test --test addons`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use meshy_base::report::Memory;
use meshy_kube::{Apply, Kinds, Manager, apply, manifest};
use meshy_lab::addons::linkerd::identity::Credentials;
use meshy_lab::addons::linkerd::{existing, gateway, proof};
use meshy_lab::addons::{self, Options};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// A kube-apiserver with its etcd and nothing else: no controller, no node.
struct ApiServer {
    process: Child,
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
}

impl ApiServer {
    /// Starts one.
    fn start() -> Self {
        let testbed = std::env::var_os("MESHY_TESTBED").expect("tests/testbed.sh sets MESHY_TESTBED");
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(PathBuf::from(testbed).join("apiserver"))
            .arg(folder.path())
            .arg(three_free_ports().to_string())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("start the testbed's API server");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        let kubeconfig = folder.path().join("kubeconfig");
        Self { process, kubeconfig, _folder: folder }
    }

    async fn kinds(&self) -> Kinds {
        let file = kube::config::Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await.unwrap();
        Kinds::new(kube::Client::try_from(config).unwrap())
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // The whole group at once: an API server whose etcd went before it takes minutes to end in good order.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

/// The first of three ports in a row that were free a moment ago, as the testbed's script takes them.
fn three_free_ports() -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let first = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        if first < 65000 && free(first + 1) && free(first + 2) {
            return first;
        }
    }
}

/// The current second since 1970.
fn second() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn options_with_certificates(kinds: &Kinds) -> (Options, addons::Manifests) {
    let options = Options::default();
    let credentials = Credentials::read_or_make(kinds.client(), &options).await.unwrap();
    let rendered = addons::linkerd::render(&options, &credentials).unwrap();
    (options, rendered)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn every_manifest_is_accepted_strictly_and_the_second_time_nothing_changes() {
    let server = ApiServer::start();
    let kinds = server.kinds().await;
    let applier = Apply::new(&kinds, Manager::Manifests, soon()).mark(true);
    let mut first = options_with_certificates(&kinds).await.1.into_all();
    first.extend(addons::rendered(&Options { mesh: addons::Mesh::None, ..Options::default() }).unwrap());
    // Placeholders are no certificates, and the API server looks at webhooks' bundles.
    first.retain(|o| manifest::describe(o) != "validatingwebhookconfiguration `ingress-nginx-admission`");
    let applied = applier.run(first.clone()).await.unwrap();
    assert!(applied.iter().filter(|a| a.created).count() > 50, "{}", apply::summary(&applied));
    // The API server records the time of a change in whole seconds: what changed in the second in which an apply begins counts as
    // changed by it.
    let applied_in = second();
    while second() == applied_in {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The certificates are now read back.
    let again = applier.run(options_with_certificates(&kinds).await.1.into_all()).await.unwrap();
    let changed: Vec<String> =
        again.iter().filter(|a| a.changed).map(|a| manifest::describe(&a.object)).collect();
    assert_eq!(changed, [""; 0], "{}", apply::summary(&again));
    for text in [
        include_str!("../linkerd/service-profiles/bounced-service-sp.yaml"),
        include_str!("../linkerd/routes/bounced-service-retry.yaml"),
        include_str!("../linkerd/routes/minimal-service-split.yaml"),
    ] {
        applier.run(manifest::parse(text).unwrap()).await.unwrap();
    }
    assert_eq!(gateway::find(kinds.client(), gateway::INSTALLED).await.unwrap(), gateway::Definitions::Ours);
    let found = existing::find(kinds.client()).await.unwrap();
    assert_eq!(found, existing::Found::Ours { version: "edge-26.6.3".to_owned() });
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn what_up_prints_is_taken_strictly_by_kubectl_and_holds_no_key_that_was_not_given() {
    let server = ApiServer::start();
    let print = Command::new(env!("CARGO_BIN_EXE_meshy")).args(["up", "--print"]).output().unwrap();
    assert!(print.status.success(), "{}", String::from_utf8_lossy(&print.stderr));
    let text = String::from_utf8(print.stdout).unwrap();
    assert!(!text.contains("tls.key: ") && !text.contains("key.pem: "), "a key is printed");
    let mut kubectl = Command::new("kubectl");
    kubectl.arg("--kubeconfig").arg(&server.kubeconfig).args(["apply", "--validate=strict", "-f", "-"]);
    let mut kubectl =
        kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut kubectl.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let done = kubectl.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn a_control_plane_that_does_not_start_gets_no_webhook() {
    let server = ApiServer::start();
    let kinds = server.kinds().await;
    let deadline = Instant::now() + Duration::from_secs(12);
    let report = Memory::default().report();
    let error =
        addons::install_all(kinds.client(), &Options::default(), &report, deadline).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("linkerd-identity") || text.contains("ingress-nginx-controller"), "{text}");
    let (hooks, _) =
        kinds.resource("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration").await.unwrap();
    let hooks: kube::Api<meshy_kube::Object> = kube::Api::all_with(kinds.client().clone(), &hooks);
    assert_eq!(hooks.list(&Default::default()).await.unwrap().items.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn what_others_installed_is_taken_or_refused_and_never_replaced() {
    let server = ApiServer::start();
    let kinds = server.kinds().await;
    let theirs = |version: &str| {
        manifest::parse(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: linkerd}}\n---\napiVersion: v1\nkind: ConfigMap\n\
             metadata: {{name: linkerd-config, namespace: linkerd}}\ndata: {{values: \"linkerdVersion: {version}\"}}\n"
        ))
        .unwrap()
    };
    let applier = Apply::new(&kinds, Manager::Manifests, soon());
    applier.run(theirs("stable-2.14.1")).await.unwrap();
    let install = || async {
        let options = Options { ingress: addons::Ingress::None, ..Options::default() };
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = addons::install_all(kinds.client(), &options, &Memory::default().report(), deadline)
            .await
            .unwrap_err();
        format!("{error:#}")
    };
    let text = install().await;
    assert!(text.contains("older than 2.16"), "{text}");
    let (deployments, _) = kinds.resource("apps/v1", "Deployment").await.unwrap();
    let deployments: kube::Api<meshy_kube::Object> =
        kube::Api::all_with(kinds.client().clone(), &deployments);
    assert_eq!(
        deployments.list(&Default::default()).await.unwrap().items.len(),
        0,
        "nothing was half-replaced"
    );

    let mut definitions = manifest::parse(include_str!("../linkerd/gateway-api/http-route.yaml")).unwrap();
    let annotations = definitions[0].metadata.annotations.as_mut().unwrap();
    annotations.insert("gateway.networking.k8s.io/bundle-version".to_owned(), "v1.9.0".to_owned());
    applier.run(definitions).await.unwrap();
    let found = gateway::find(kinds.client(), gateway::INSTALLED).await.unwrap();
    let is_above =
        matches!(&found, gateway::Definitions::Foreign(version, gateway::Fit::Above) if version == "v1.9.0");
    assert!(is_above, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn the_proof_distinguishes_called_webhooks_from_silent_ones() {
    let server = ApiServer::start();
    let kinds = server.kinds().await;
    let applier = Apply::new(&kinds, Manager::Manifests, soon());
    let (_, rendered) = options_with_certificates(&kinds).await;
    let (webhooks, mut base) = (rendered.webhooks, rendered.base);
    base.retain(|o| !matches!(manifest::kind(o), "Deployment" | "Service"));
    applier.run(base).await.unwrap();
    let silent = proof::first_silent(&kinds).await.unwrap();
    assert_eq!(silent.map(|(service, _)| service), Some("linkerd-proxy-injector"));

    let (url, authority) = fake_webhooks().await;
    let bundle = base64::engine::general_purpose::STANDARD.encode(authority);
    let redirected = webhooks.into_iter().map(|hook| {
        let mut hook = json!(hook);
        hook["webhooks"][0]["clientConfig"] = json!({"url": url, "caBundle": bundle});
        serde_json::from_value(hook).unwrap()
    });
    applier.run(redirected.collect()).await.unwrap();
    let report = Memory::default().report();
    proof::webhooks_respond(&kinds, soon(), &report.step("Proving", "webhooks")).await.unwrap();
}

/// A server that answers as Linkerd's webhooks would; gives its address and its authority.
async fn fake_webhooks() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let serve = hyper::server::conn::http1::Builder::new();
                let _ = serve.serve_connection(TokioIo::new(stream), service_fn(review)).await;
            });
        }
    });
    (url, certificate.pem())
}

/// Adds a proxy to pods that ask for one; refuses everything else, since only broken objects are sent here.
async fn review(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let mut answer = json!({"uid": review["request"]["uid"], "allowed": true});
    if review["request"]["kind"]["kind"] == "Pod" {
        let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "linkerd-proxy", "image": "p"}}]);
        answer["patchType"] = json!("JSONPatch");
        answer["patch"] = json!(base64::engine::general_purpose::STANDARD.encode(patch.to_string()));
    } else {
        answer["allowed"] = json!(false);
        answer["status"] = json!({"message": "it is broken"});
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer});
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::new(Bytes::from(review.to_string()))).expect("a fixed answer"))
}
