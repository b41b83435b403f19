//! `labels`, `commonLabels` and `commonAnnotations`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::specs;
use crate::error::Error;
use crate::field::{FieldSpec, Leaf};
use crate::kustomization::{Kustomization, Label};
use crate::resource::Resource;

/// Sets all labels of a kustomization.
pub(super) fn labels(kustomization: &Kustomization, list: &mut [Resource]) -> Result<(), Error> {
    for label in &kustomization.labels {
        set(&label.pairs, &places(label)?, list)?;
    }
    set(&kustomization.common_labels, &specs::SELECTORS, list)
}

/// Sets annotations on the objects and on the pods they make.
pub(super) fn annotations(pairs: &BTreeMap<String, String>, list: &mut [Resource]) -> Result<(), Error> {
    set(pairs, &specs::ANNOTATIONS, list)
}

/// Where a label goes: to the fields it names itself, and to those its flags stand for.
fn places(label: &Label) -> Result<Vec<FieldSpec>, Error> {
    let mut places = Vec::new();
    let mut add =
        |specs: &[FieldSpec]| specs.iter().try_for_each(|spec| spec.clone().merge_into(&mut places));
    add(&label.fields.iter().map(FieldSpec::of).collect::<Vec<_>>())?;
    if label.include_selectors {
        add(&specs::SELECTORS)?;
        return Ok(places);
    }
    if label.include_templates {
        add(&specs::TEMPLATES)?;
    }
    if label.include_volume_claim_templates {
        add(&specs::CLAIM_TEMPLATES)?;
    }
    add(&[FieldSpec::new("", "", "", "metadata/labels", true)])?;
    Ok(places)
}

fn set(pairs: &BTreeMap<String, String>, places: &[FieldSpec], list: &mut [Resource]) -> Result<(), Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    for resource in list {
        for place in places {
            place.visit(resource, Some(Leaf::Map), &mut |field| {
                let Value::Object(fields) = field else { return Err(Error::invalid("a map was expected")) };
                fields.extend(pairs.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
                Ok(())
            })?;
        }
    }
    Ok(())
}
