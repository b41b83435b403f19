//! `replicas`: how many of each.

use super::specs;
use crate::error::Error;
use crate::field::Leaf;
use crate::kustomization::Replica;
use crate::resource::Resource;

/// Sets the number of replicas of the workloads that have, or had, the names.
pub(super) fn set(replicas: &[Replica], list: &mut [Resource]) -> Result<(), Error> {
    for Replica { name, count } in replicas {
        let mut found = false;
        for resource in list.iter_mut() {
            for spec in &*specs::REPLICAS {
                let named = resource
                    .previous_ids()
                    .chain([resource.id()])
                    .any(|id| id.name == *name && id.gvk.is(spec.gvk()));
                if named {
                    found = true;
                    spec.visit(resource, Some(Leaf::Scalar), &mut |field| {
                        *field = (*count).into();
                        Ok(())
                    })?;
                }
            }
        }
        if !found {
            return Err(Error::Target {
                what: format!("replicas for `{name}` (a workload with replicas)"),
                found: 0,
            });
        }
    }
    Ok(())
}
