//! Applies the transforms of a kustomization to its objects.

mod images;
mod labels;
mod names;
mod namespace;
mod order;
mod patch;
mod references;
mod replacement;
mod replicas;
mod specs;

use crate::error::Error;
use crate::kustomization::Kustomization;
use crate::loader::Loader;
use crate::resource::Resource;

pub(crate) use names::hash;
pub(crate) use order::order;
pub(crate) use references::references;

/// Returns all transforms of one kustomization, in kustomize's order: patches see the names of the base, replacements see
/// everything done.
pub(crate) fn all(
    loader: &Loader<'_>,
    kustomization: &Kustomization,
    list: &mut Vec<Resource>,
) -> Result<(), Error> {
    patch::strategic(loader, &kustomization.patches_strategic_merge, list)?;
    patch::patches(loader, &kustomization.patches, list)?;
    namespace::set(&kustomization.namespace, list)?;
    names::prefix(&kustomization.name_prefix, list);
    names::suffix(&kustomization.name_suffix, list);
    labels::labels(kustomization, list)?;
    labels::annotations(&kustomization.common_annotations, list)?;
    patch::json(loader, &kustomization.patches_json6902, list)?;
    replicas::set(&kustomization.replicas, list)?;
    images::set(&kustomization.images, list)?;
    replacement::all(loader, &kustomization.replacements, list)
}
