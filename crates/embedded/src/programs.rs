//! The programs that belong to no other part of the cluster: the test service and built-in placeholders.

mod placeholder;
mod test_service;

pub(crate) use placeholder::{Placeholder, ProxyInit};
pub(crate) use test_service::TestService;
