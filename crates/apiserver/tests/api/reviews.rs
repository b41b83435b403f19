//! Self subject reviews: questions of a client about itself.

use meshy_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::requests::exchange;

const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const SUBJECT: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

#[tokio::test]
async fn each_access_is_allowed() {
    let server = Server::new(Options::default());
    let review = |spec: Value| json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let spec = json!({"resourceAttributes": {"verb": "get", "resource": "pods"}});
    let (status, _, body) = exchange(&server, "POST", ACCESS, "", &review(spec.clone())).await;
    assert_eq!((status, &body["status"]["allowed"], &body["spec"]), (201, &json!(true), &spec));
    let (status, _, body) = exchange(&server, "POST", ACCESS, "", &review(json!({}))).await;
    assert_eq!((status, &body["details"]["causes"][0]["field"]), (422, &json!("spec.resourceAttributes")));
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}});
    let (status, _, body) = exchange(&server, "POST", RULES, "", &review).await;
    assert_eq!((status, &body["status"]["resourceRules"][0]["verbs"]), (201, &json!(["*"])));
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (status, _, body) = exchange(&server, "POST", SUBJECT, "", &review).await;
    assert_eq!((status, &body["status"]["userInfo"]["groups"][0]), (201, &json!("system:masters")));
}

#[tokio::test]
async fn reviews_are_not_stored_and_have_no_other_verbs() {
    let server = Server::new(Options::default());
    for path in [ACCESS, RULES, SUBJECT] {
        assert_eq!(exchange(&server, "GET", path, "", &Value::Null).await.0, 405, "{path}");
        assert_eq!(exchange(&server, "DELETE", path, "", &Value::Null).await.0, 405, "{path}");
        assert_eq!(exchange(&server, "GET", &format!("{path}/x"), "", &Value::Null).await.0, 405, "{path}");
    }
    let wrong = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    assert_eq!(exchange(&server, "POST", ACCESS, "", &wrong).await.0, 400);
    let (_, _, found) = exchange(&server, "GET", "/apis/authorization.k8s.io/v1", "", &Value::Null).await;
    assert_eq!(found["resources"][0]["verbs"], json!(["create"]));
    assert!(!server.client().resources().iter().any(|(name, _)| name.contains("review")));
}
