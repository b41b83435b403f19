//! A proxy with the semantics of Linkerd.
