//! The names of the objects of the ingress controller.

/// The class of the Ingresses that are served, and the name of its IngressClass.
pub(crate) const CLASS: &str = "nginx";
/// The namespace of the controller.
pub(crate) const NAMESPACE: &str = "ingress-nginx";
/// The Deployment and the Service of the controller.
pub(crate) const CONTROLLER: &str = "ingress-nginx-controller";
