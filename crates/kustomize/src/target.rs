//! One kustomization after the other, from the bases outwards.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use crate::error::Error;
use crate::generate;
use crate::kustomization::Kustomization;
use crate::loader::{Entry, Loader};
use crate::resource::Resource;
use crate::set::Set;
use crate::source::Source;
use crate::{Output, objects, transform};

/// What one build shares between its kustomizations.
#[derive(Default)]
struct Build {
    warnings: Vec<String>,
    /// Each file is parsed once, however many overlays share its base.
    files: HashMap<PathBuf, Rc<Vec<Resource>>>,
    /// Likewise each kustomization, by its folder.
    kustomizations: HashMap<PathBuf, Rc<Kustomization>>,
    /// How often a kustomization was built: one that several others name counts each time.
    built: usize,
    /// How many objects were gathered, counted again in each kustomization that passes them on.
    gathered: usize,
}

/// The most kustomizations that one build works on. kustomize has no such limit: a base that is reached by 2^30 paths keeps
/// it at work until the machine's memory is used up.
const MOST_BUILT: usize = 5_000;

/// The most objects that one build gathers over all its kustomizations.
const MOST_GATHERED: usize = 200_000;

/// The deepest nesting of kustomizations. Each level takes a part of the stack.
const DEEPEST: usize = 100;

impl Build {
    /// Counts a kustomization that is about to be built.
    fn enter(&mut self, loader: &Loader<'_>) -> Result<(), Error> {
        self.built += 1;
        limit("kustomizations", self.built, MOST_BUILT)?;
        limit("kustomizations inside each other", loader.depth(), DEEPEST)
    }

    /// Counts objects that are about to be gathered.
    fn gather(&mut self, objects: usize) -> Result<(), Error> {
        self.gathered = self.gathered.saturating_add(objects);
        limit("objects", self.gathered, MOST_GATHERED)
    }
}

fn limit(what: &'static str, count: usize, most: usize) -> Result<(), Error> {
    if count <= most { Ok(()) } else { Err(Error::Limit { what, most }) }
}

/// Builds the tree at `dir`.
pub(crate) fn build(source: &dyn Source, dir: &Path) -> Result<Output, Error> {
    let loader = Loader::start(source, dir)?;
    let mut build = Build::default();
    let kustomization = kustomization(&mut build, &loader)?;
    let set = accumulate(&mut build, &loader, &kustomization, Set::default())
        .map_err(|error| error.within(format!("`{}`", loader.root().display())))?;
    let mut resources = set.into_list();
    transform::hash(&mut resources)?;
    transform::references(&mut resources)?;
    resources.retain(|resource| !is_local(resource));
    transform::order(&mut resources, kustomization.sort_options.as_ref())?;
    let finished = resources.into_iter().map(|resource| finished(resource.object)).collect();
    Ok(Output { objects: finished, warnings: build.warnings })
}

/// Adds what `kustomization` names to `set` and transforms all that is in it then.
///
/// For a kustomization `set` is empty; a component works on what its user has gathered.
fn accumulate(
    build: &mut Build,
    loader: &Loader<'_>,
    kustomization: &Kustomization,
    mut set: Set,
) -> Result<Set, Error> {
    build.enter(loader)?;
    for path in &kustomization.resources {
        add(build, loader, path, &mut set).map_err(|error| error.within(format!("resource `{path}`")))?;
    }
    for resource in generate::all(loader, kustomization)? {
        set.absorb(resource)?;
    }
    for path in &kustomization.components {
        set = mix(build, loader, path, set).map_err(|error| error.within(format!("component `{path}`")))?;
    }
    transform::all(loader, kustomization, set.list_mut())?;
    Ok(set)
}

/// Adds a resource: a file with objects, or a folder with a kustomization.
fn add(build: &mut Build, loader: &Loader<'_>, path: &str, set: &mut Set) -> Result<(), Error> {
    match loader.entry(path)? {
        Entry::File(found) => {
            let resources = file(build, loader, &found)?;
            build.gather(resources.len())?;
            resources.iter().try_for_each(|resource| set.append(resource.clone()))
        }
        Entry::Folder(inner) => {
            let kustomization = kustomization(build, &inner)?;
            if kustomization.is_component() {
                return Err(Error::invalid("it is a component: name it under `components`"));
            }
            let built = accumulate(build, &inner, &kustomization, Set::default())?;
            let built = built.into_list();
            build.gather(built.len())?;
            built.into_iter().try_for_each(|resource| set.append(resource))
        }
    }
}

/// Lets a component add to and work on `set`.
fn mix(build: &mut Build, loader: &Loader<'_>, path: &str, set: Set) -> Result<Set, Error> {
    let inner = loader.folder(path)?;
    let kustomization = kustomization(build, &inner)?;
    if !kustomization.is_component() {
        return Err(Error::invalid("it is not of kind Component: name it under `resources`"));
    }
    accumulate(build, &inner, &kustomization, set)
}

/// Returns the kustomization in the loader's folder.
fn kustomization(build: &mut Build, loader: &Loader<'_>) -> Result<Rc<Kustomization>, Error> {
    if let Some(kustomization) = build.kustomizations.get(loader.root()) {
        return Ok(Rc::clone(kustomization));
    }
    let kustomization = Rc::new(Kustomization::load(loader, &mut build.warnings)?);
    build.kustomizations.insert(loader.root().to_path_buf(), Rc::clone(&kustomization));
    Ok(kustomization)
}

fn file(build: &mut Build, loader: &Loader<'_>, found: &Path) -> Result<Rc<Vec<Resource>>, Error> {
    if let Some(resources) = build.files.get(found) {
        return Ok(Rc::clone(resources));
    }
    let text = String::from_utf8_lossy(&loader.read_found(found)?).into_owned();
    let resources = Rc::new(objects::read(&text, &format!("`{}`", found.display()))?);
    build.files.insert(found.to_path_buf(), Rc::clone(&resources));
    Ok(resources)
}

/// Returns whether an object is configuration of tools, kept out of the output.
fn is_local(resource: &Resource) -> bool {
    resource.annotation("config.kubernetes.io/local-config").is_some_and(|value| value != "false")
}

/// Returns the object as it is printed: annotations are text, and a map of none is left out.
fn finished(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        match metadata.get_mut("annotations") {
            Some(Value::Object(annotations)) if !annotations.is_empty() => {
                for value in annotations.values_mut().filter(|value| value.is_number() || value.is_boolean())
                {
                    *value = Value::String(value.to_string());
                }
            }
            Some(Value::Object(_)) => {
                metadata.remove("annotations");
            }
            _ => {}
        }
    }
    object
}
