//! A kustomization file: its fields, its old spellings, and what is refused of it.

mod fields;
mod folded;

use serde_json::Value;

use crate::error::{Error, Refusal};
use crate::loader::Loader;
use crate::yaml;

pub(crate) use fields::{
    FieldOptions, GeneratorArgs, GeneratorOptions, Image, Kustomization, Label, Patch, PatchOptions,
    Replacement, ReplacementText, Replica, SelectorText, SortOptions, SourceSelector, SpecText,
    TargetSelector,
};
pub(crate) use folded::from_value;

/// The names a kustomization file may have.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields that are known but not followed.
const REFUSED: &[(&str, Refusal)] = &[
    ("buildMetadata", Refusal::Configuration),
    ("configurations", Refusal::Configuration),
    ("crds", Refusal::Configuration),
    ("openapi", Refusal::Configuration),
    ("generators", Refusal::Plugin),
    ("transformers", Refusal::Plugin),
    ("validators", Refusal::Plugin),
    ("helmCharts", Refusal::Helm),
    ("helmGlobals", Refusal::Helm),
    ("helmChartInflationGenerator", Refusal::Helm),
    ("vars", Refusal::Vars),
];

/// Old spellings and what to write today.
const OLD: &[(&str, &str)] = &[
    ("bases", "resources: [PATH…]"),
    ("commonLabels", "labels: [{pairs: {KEY: VALUE}, includeSelectors: true}]"),
    ("imageTags", "images: [{name: NAME, newTag: TAG}]"),
    ("patchesJson6902", "patches: [{path: PATH, target: {…}}]"),
    ("patchesStrategicMerge", "patches: [{path: PATH}]"),
];

impl Kustomization {
    /// Reads the kustomization file in the loader's folder. Each old spelling adds a line to `warnings`.
    pub(crate) fn load(loader: &Loader<'_>, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let found: Vec<_> = NAMES.iter().filter(|name| loader.has_file(name)).collect();
        let name = match found[..] {
            [name] => name,
            [] => return Err(Error::NoKustomization { dir: loader.root().to_path_buf() }),
            _ => return Err(Error::SeveralKustomizations { dir: loader.root().to_path_buf() }),
        };
        let text = loader.read_text(name)?;
        let place = format!("`{}`", loader.root().join(name).display());
        let mut document = yaml::first_document(&text, &place)?;
        drop_nulls(&mut document);
        let Value::Object(fields) = document else {
            return Err(Error::invalid(format!("{place} is empty")));
        };
        let fields = folded::renamed(fields, &names());
        for key in fields.keys() {
            known(key, &place)?;
        }
        if fields.keys().all(|key| key == "apiVersion" || key == "kind") {
            return Err(Error::invalid(format!("{place} is empty")));
        }
        for (old, new) in OLD {
            if fields.contains_key(*old) {
                warnings.push(format!("{place}: `{old}` is deprecated; write `{new}`"));
            }
        }
        let kustomization: Self = from_value(Value::Object(fields))
            .map_err(|error| Error::Parse { place: place.clone(), reason: error.to_string() })?;
        kustomization.with_new_spellings().check(&place)
    }

    /// Moves `bases`, `imageTags` and `env` to where they are written today.
    fn with_new_spellings(mut self) -> Self {
        self.resources.append(&mut self.bases);
        self.images.append(&mut self.image_tags);
        for generator in self.config_map_generator.iter_mut().chain(&mut self.secret_generator) {
            generator.envs.extend(generator.env.take().filter(|path| !path.is_empty()));
        }
        self
    }

    fn check(self, place: &str) -> Result<Self, Error> {
        let version = match self.kind.as_deref() {
            None | Some("" | "Kustomization") => "kustomize.config.k8s.io/v1beta1",
            Some("Component") => "kustomize.config.k8s.io/v1alpha1",
            Some(kind) => {
                return Err(Error::invalid(format!(
                    "{place} has kind `{kind}`, not Kustomization or Component"
                )));
            }
        };
        match self.api_version.as_deref() {
            None | Some("") => Ok(self),
            Some(written) if written == version => Ok(self),
            Some(written) => Err(Error::invalid(format!(
                "{place} has apiVersion `{written}`; its kind goes with `{version}`"
            ))),
        }
    }

    /// Returns whether it is a part to be mixed into others.
    pub(crate) fn is_component(&self) -> bool {
        self.kind.as_deref() == Some("Component")
    }
}

/// Returns the names of all known fields, followed or not.
fn names() -> Vec<&'static str> {
    fields::NAMES.iter().copied().chain(REFUSED.iter().map(|(field, _)| *field)).collect()
}

/// Refuses a field that is unknown or not followed.
fn known(key: &str, place: &str) -> Result<(), Error> {
    if let Some((field, refusal)) = REFUSED.iter().find(|(field, _)| *field == key) {
        return Err(Error::Refused { what: format!("`{field}` in {place}"), refusal: *refusal });
    }
    if fields::NAMES.contains(&key) {
        return Ok(());
    }
    let nearest = fields::NAMES.iter().max_by(|a, b| strsim::jaro(key, a).total_cmp(&strsim::jaro(key, b)));
    let nearest = nearest.map(|name| format!("\nhint: the nearest field is `{name}`")).unwrap_or_default();
    Err(Error::invalid(format!("{place} has an unknown field `{key}`{nearest}")))
}

/// A field without a value counts as absent.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
