//! `namePrefix`, `nameSuffix` and the hashes of generated objects.

use crate::error::Error;
use crate::hash;
use crate::resource::Resource;

/// Puts `prefix` before the names.
pub(super) fn prefix(prefix: &str, list: &mut [Resource]) {
    for resource in list.iter_mut().filter(|resource| !prefix.is_empty() && renamed(resource)) {
        resource.prefixes.push(prefix.to_owned());
        resource.remember();
        resource.set_name(&format!("{prefix}{}", resource.name()));
    }
}

/// Puts `suffix` after the names.
pub(super) fn suffix(suffix: &str, list: &mut [Resource]) {
    for resource in list.iter_mut().filter(|resource| !suffix.is_empty() && renamed(resource)) {
        resource.suffixes.push(suffix.to_owned());
        resource.remember();
        resource.set_name(&format!("{}{suffix}", resource.name()));
    }
}

/// Returns whether prefixes and suffixes apply: not to CustomResourceDefinitions, APIServices and Namespaces.
fn renamed(resource: &Resource) -> bool {
    let gvk = resource.original_id().gvk;
    let fixed = gvk.kind == "CustomResourceDefinition"
        || gvk.kind == "Namespace"
        || (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io");
    !fixed
}

/// Ends the names of generated objects in a hash of their content, so that a changed content is a new object.
pub(crate) fn hash(list: &mut [Resource]) -> Result<(), Error> {
    for resource in list.iter_mut().filter(|resource| resource.hashed) {
        let hash = hash::of(&resource.object)?;
        resource.remember();
        resource.set_name(&format!("{}-{hash}", resource.name()));
    }
    Ok(())
}
