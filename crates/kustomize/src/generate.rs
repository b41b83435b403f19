//! `configMapGenerator` and `secretGenerator`.

mod pairs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

use crate::error::Error;
use crate::kustomization::{GeneratorArgs, GeneratorOptions, Kustomization};
use crate::loader::Loader;
use crate::resource::{Behavior, Resource};

/// Returns the objects that a kustomization makes: ConfigMaps, then Secrets.
pub(crate) fn all(loader: &Loader<'_>, kustomization: &Kustomization) -> Result<Vec<Resource>, Error> {
    let common = kustomization.generator_options.as_ref();
    let make = |kind: &'static str| {
        move |args: &GeneratorArgs| {
            one(loader, kind, args, common)
                .map_err(|error| error.within(format!("generated {kind} `{}`", args.name)))
        }
    };
    let maps = kustomization.config_map_generator.iter().map(make("ConfigMap"));
    maps.chain(kustomization.secret_generator.iter().map(make("Secret"))).collect()
}

fn one(
    loader: &Loader<'_>,
    kind: &str,
    args: &GeneratorArgs,
    common: Option<&GeneratorOptions>,
) -> Result<Resource, Error> {
    if args.name.is_empty() {
        return Err(Error::invalid(format!("a generated {kind} has no name")));
    }
    let options = merged(args.options.as_ref(), common);
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": args.name}});
    let metadata = &mut object["metadata"];
    if !args.namespace.is_empty() {
        metadata["namespace"] = args.namespace.as_str().into();
    }
    for (field, pairs) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if !pairs.is_empty() {
            metadata[field] = json!(pairs);
        }
    }
    if kind == "Secret" {
        object["type"] = if args.kind.is_empty() { "Opaque" } else { &args.kind }.into();
        object["data"] = Map::new().into();
    } else if !args.kind.is_empty() {
        return Err(Error::invalid("a ConfigMap has no type"));
    }
    for (key, value) in pairs::load(loader, args)? {
        let (field, text) = match String::from_utf8(value) {
            Ok(text) if kind == "ConfigMap" => ("data", text),
            Ok(text) => ("data", encoded(text.as_bytes())),
            Err(bytes) if kind == "ConfigMap" => ("binaryData", encoded(bytes.as_bytes())),
            Err(bytes) => ("data", encoded(bytes.as_bytes())),
        };
        object[field][key] = text.into();
    }
    if options.immutable {
        object["immutable"] = true.into();
    }
    let mut resource = Resource::new(object);
    resource.hashed = !options.disable_name_suffix_hash;
    resource.behavior = match args.behavior.as_str() {
        "merge" => Behavior::Merge,
        "replace" => Behavior::Replace,
        _ => Behavior::Create,
    };
    Ok(resource)
}

/// A generator's own options with the common ones for what it leaves open.
fn merged(own: Option<&GeneratorOptions>, common: Option<&GeneratorOptions>) -> GeneratorOptions {
    let mut options = own.cloned().unwrap_or_default();
    if let Some(common) = common {
        for (key, value) in &common.labels {
            options.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (key, value) in &common.annotations {
            options.annotations.entry(key.clone()).or_insert_with(|| value.clone());
        }
        options.disable_name_suffix_hash |= common.disable_name_suffix_hash;
        options.immutable |= common.immutable;
    }
    options
}

/// Base64 as kustomize writes it: what is longer than 70 characters is broken into lines, each with its end.
fn encoded(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    // The alphabet is ASCII, so any cut is between characters.
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    for start in (0..text.len()).step_by(LINE) {
        lines.push_str(&text[start..text.len().min(start + LINE)]);
        lines.push('\n');
    }
    lines
}

/// The value of a pair before it becomes text or base64.
type Bytes = Vec<u8>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_base64_is_broken_after_seventy_characters() {
        assert_eq!(encoded(&[0; 51]).len(), 68);
        assert_eq!(encoded(&[0; 54]), format!("{}\n{}\n", "A".repeat(70), "AA"));
        assert_eq!(encoded(b"a"), "YQ==");
    }
}
