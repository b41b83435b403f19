//! The backends of `dstOverrides`.

use serde_json::{Value, json};

use super::{Kind, Migration, Options};
use crate::names;
use crate::profile::ServiceProfile;

/// Returns the backends of all routes: the Service itself, or those of the overrides with their weights.
pub(super) fn backends(
    profile: &ServiceProfile,
    service: &str,
    options: &Options<'_>,
    found: &mut Migration,
) -> Vec<Value> {
    let mut backends = Vec::new();
    for (index, backend) in profile.spec.dst_overrides.iter().enumerate() {
        let (host, port) = match backend.authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(options.port)),
            None => (backend.authority.as_str(), options.port),
        };
        match names::parse_service_fqdn(host.trim_end_matches('.')) {
            Some((name, namespace)) => backends.push(json!({
                "name": name, "namespace": namespace, "port": port, "weight": weight(&backend.weight),
            })),
            None => {
                let field = format!("spec.dstOverrides[{index}].authority");
                let what =
                    format!("`{}` is not a Service of the cluster, and is left out", backend.authority);
                found.differ(Kind::BackendLost, field, what);
            }
        }
    }
    if profile.spec.dst_overrides.is_empty() {
        backends.push(json!({"name": service, "port": options.port}));
    }
    backends
}

/// A Kubernetes quantity in thousandths, at most the limit of the CRD. Only the proportions count.
fn weight(quantity: &Value) -> u64 {
    let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
    let (number, factor) = text.strip_suffix('m').map_or((text.as_str(), 1000.0), |number| (number, 1.0));
    let thousandths = number.parse::<f64>().unwrap_or_default() * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1,000,000")]
    let whole = thousandths.round().clamp(0.0, 1_000_000.0) as u64;
    whole
}
