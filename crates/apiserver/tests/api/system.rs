//! The objects that exist in every cluster.

use meshy_apiserver::{CertificateAuthority, Options, Server, WriteOptions};
use serde_json::json;

#[tokio::test]
async fn service_of_the_api_has_the_first_address_and_the_port_of_the_listener() {
    let server = Server::new(Options::default());
    let service = server.client().get("services", "default", "kubernetes").expect("the Service");
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    assert_eq!(service["spec"]["ports"][0]["port"], 443);
    let authority = CertificateAuthority::new().expect("an authority");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = server.serve(listener, &authority).expect("serves");
    let service = server.client().get("services", "default", "kubernetes").expect("the Service");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], running.address().port());
    let restored = Server::restore(Options::default(), &server.snapshot()).expect("restores");
    assert!(restored.client().get("services", "default", "kubernetes").is_some());
    let other = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}});
    let taken = restored.client().create("services", "default", other, &WriteOptions::default()).await;
    assert_eq!(taken.expect_err("the address is allocated").code, 422);
}

#[tokio::test]
async fn each_namespace_has_the_certificate_of_the_authority() {
    let server = Server::new(Options::default());
    let client = server.client();
    let certificate = |namespace: &str| {
        client.get("configmaps", namespace, "kube-root-ca.crt").map(|map| map["data"]["ca.crt"].clone())
    };
    let serve = async |authority: &CertificateAuthority| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        server.serve(listener, authority).expect("serves")
    };
    assert_eq!(certificate("default"), None, "no socket, so no authority");
    let authority = CertificateAuthority::new().expect("an authority");
    let _running = serve(&authority).await;
    assert_eq!(certificate("default").expect("a certificate"), authority.certificate_pem());
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}});
    client.create("namespaces", "", namespace, &WriteOptions::default()).await.expect("creates");
    assert_eq!(certificate("new").expect("a certificate"), authority.certificate_pem());
    let authority = CertificateAuthority::new().expect("an authority");
    let _running = serve(&authority).await;
    for namespace in ["default", "kube-system", "new"] {
        assert_eq!(
            certificate(namespace).expect("a certificate"),
            authority.certificate_pem(),
            "{namespace}"
        );
    }
}
