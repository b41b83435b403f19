//! The address in the status of each Ingress, which `kubectl get ingress` shows.

use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress, IngressLoadBalancerStatus};
use tokio::task::JoinSet;

use super::rules::is_served;
use crate::api::ApiError;
use crate::controllers::{Action, Context, Controller, own_key};

/// Writes the address of each served Ingress, until the set is dropped.
pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    let controller = Controller::new("ingress", context, tasks).watch::<Ingress>(own_key);
    controller.start(|context, key| async move {
        match context.api.modify_status(&key.0, &key.1, write).await {
            Ok(_) | Err(ApiError::NotFound) => Ok(Action::AwaitChange),
            Err(error) => Err(error),
        }
    });
}

fn write(ingress: &mut Ingress) {
    if !is_served(ingress) {
        return;
    }
    let localhost = IngressLoadBalancerIngress {
        hostname: Some("localhost".to_owned()),
        ..IngressLoadBalancerIngress::default()
    };
    let status = IngressLoadBalancerStatus { ingress: Some(vec![localhost]) };
    ingress.status.get_or_insert_default().load_balancer = Some(status);
}
