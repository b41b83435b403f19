//! What Linkerd reads of Kubernetes objects.
