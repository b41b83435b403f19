//! The images of what is deployed: which have no program on an embedded cluster.

use anyhow::anyhow;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Object, manifest};
use serde_json::Value;

use super::Bundle;
use crate::cluster;
use crate::lab::Record;

/// Checks that the embedded cluster has a program for each image. Other clusters pull images.
///
/// # Errors
/// An image has no program; the hint is the flag that adds one.
pub fn check(bundles: &[Bundle], record: &Record) -> anyhow::Result<()> {
    let provider = cluster::provider(record.provider());
    let objects = bundles.iter().flat_map(|bundle| &bundle.objects);
    let without = objects.flat_map(|object| images(object).into_iter().map(move |image| (image, object)));
    let without: Vec<(String, &Object)> =
        without.filter(|(image, _)| !provider.runs(record, image)).collect();
    let Some((first, object)) = without.first() else { return Ok(()) };
    let each =
        |(image, object): &(String, &Object)| format!("image `{image}` of {}", manifest::describe(object));
    let list = without.iter().map(each).collect::<Vec<_>>().join(", ");
    let verb = if without.len() == 1 { "has" } else { "have" };
    let name = object.metadata.name.clone().unwrap_or_default();
    Err(anyhow!("{list} {verb} no program on the embedded cluster, which runs programs of this machine instead of images"))
        .hint(format!(
            "`meshy up --program {first}=COMMAND` names one; `meshy up --stub {name}` runs the test service in place of `{name}`"
        ))
        .id("image-without-program")
        .exit(Exit::Usage)
}

/// Returns the images of an object's pods, each once.
fn images(object: &Object) -> Vec<String> {
    let mut found = Vec::new();
    for pod in ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"] {
        for list in ["containers", "initContainers"] {
            let containers = object.data.pointer(&format!("{pod}/{list}")).and_then(Value::as_array);
            let images = containers.into_iter().flatten().filter_map(|container| container["image"].as_str());
            found.extend(images.map(str::to_owned));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lab::{Program, Programs, Provider};

    fn bundle(image: &str) -> Vec<Bundle> {
        let text = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: cart}}, spec: {{template: {{spec: {{containers: [{{name: c, \
             image: '{image}'}}]}}}}}}}}"
        );
        let objects = manifest::parse(&text).unwrap();
        vec![Bundle { name: "x".to_owned(), objects, warnings: Vec::new() }]
    }

    fn record(provider: Provider, programs: &[&str]) -> Record {
        let mut record = Record::new(&"x".parse().unwrap(), provider, "x".into());
        let images = programs.iter().map(|text| Program::parse(text, Path::new("/")).unwrap()).collect();
        if let Ok(embedded) = record.embedded_mut() {
            embedded.programs = Some(Programs { images, http_proxy: false });
        }
        record
    }

    #[test]
    fn an_image_without_a_program_is_reported_with_the_flag_that_adds_one() {
        let error = check(&bundle("shop/cart:1"), &record(Provider::Embedded, &[])).unwrap_err();
        assert!(
            error.to_string().starts_with("image `shop/cart:1` of deployment `cart` has no program"),
            "{error}"
        );
        assert!(meshy_base::error::hints(&error)[0].contains("--program shop/cart:1=COMMAND"));
        assert_eq!(meshy_base::error::exit_of(&error), Exit::Usage);
    }

    #[test]
    fn a_program_is_named_by_image_repository_or_name() {
        for (named, fits) in [
            ("shop/cart:1", true),
            ("shop/cart", true),
            ("cart", true),
            ("shop/cart:2", false),
            ("car", false),
            ("op/cart", false),
        ] {
            let program = format!("{named}=sh");
            let checked = check(&bundle("shop/cart:1"), &record(Provider::Embedded, &[&program]));
            assert_eq!(checked.is_ok(), fits, "{named}");
        }
        let anywhere = record(Provider::Embedded, &["shop/cart=sh"]);
        assert!(check(&bundle("registry.example:5000/shop/cart:1"), &anywhere).is_ok());
        assert!(
            check(&bundle("localhost:5000/minimal-service:v1"), &record(Provider::Embedded, &[])).is_ok()
        );
        assert!(check(&bundle("shop/cart:1"), &record(Provider::Kind, &[])).is_ok());
    }
}
