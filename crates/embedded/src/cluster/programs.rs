//! The programs that the containers of a cluster can run.

use std::sync::Arc;

use crate::api::Api;
use crate::ingress::IngressProgram;
use crate::mesh::{Mesh, ProxyProgram};
use crate::program::image::BUILT_IN_PREFIX;
use crate::program::{Images, Programs};
use crate::programs::{Placeholder, ProxyInit, TEST_SERVICE, TestService};
use crate::service_table::ServiceTable;

/// Registers the programs of each cluster after those in `programs`, which take precedence.
pub(super) fn register(programs: &mut Programs, api: &Api, services: &Arc<ServiceTable>, mesh: &Arc<Mesh>) {
    let ingress = IngressProgram { api: api.clone(), services: services.clone() };
    programs.register(Images::built_in("ingress"), ingress);
    programs.register(Images::built_in("proxy"), ProxyProgram { mesh: mesh.clone() });
    programs.register(Images::built_in("proxy-init"), ProxyInit);
    programs.register(Images::Prefix(BUILT_IN_PREFIX.to_owned()), Placeholder);
    programs.register(Images::named(TEST_SERVICE), TestService);
}
