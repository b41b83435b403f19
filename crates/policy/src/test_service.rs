//! The admin port of test services: faults and counts (docs/test-service.md).

use http::Request;
use meshy_metrics::Pod;
use serde_json::Value;

use crate::services::admin;

/// Changes the faults of pods of a test service; `change` is the body of `PUT /fault` (docs/test-service.md).
///
/// # Errors
/// Returns an error if a pod cannot be reached or does not run the test service, or if the change is not valid.
pub async fn put_fault(client: &kube::Client, pods: &[Pod], change: &Value) -> anyhow::Result<()> {
    let body = serde_json::to_vec(change)?;
    let each = pods.iter().map(|pod| {
        let body = body.clone();
        async move {
            let request = Request::put("/fault").body(body)?;
            admin::<Value>(client, pod, request).await.map(drop)
        }
    });
    futures::future::try_join_all(each).await.map(drop)
}

/// Returns the counts of each pod of a test service: `GET /counts` (docs/test-service.md).
///
/// # Errors
/// Returns an error if a pod cannot be reached or does not run the test service.
pub async fn counts(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<Vec<Value>> {
    let each = pods.iter().map(|pod| async move {
        admin::<Value>(client, pod, Request::get("/counts").body(Vec::new())?).await
    });
    futures::future::try_join_all(each).await
}
