//! What is deployed together: the objects of an overlay, a topology, a file or a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use meshy_base::error::{Advise, Exit};
use meshy_base::input;
use meshy_kube::{Object, manifest};

use super::topology;
use crate::overlay;

/// Objects that are deployed together under one name.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The name: that of an overlay or a topology, or the path of a file or folder.
    pub name: String,
    /// The objects, in the order in which they are applied.
    pub objects: Vec<Object>,
    /// What the source contains and is not used.
    pub warnings: Vec<String>,
}

impl Bundle {
    /// Builds an overlay: a bare name is a shipped one, a path a folder.
    ///
    /// # Errors
    /// Returns an error if the overlay is unknown or does not build.
    pub fn overlay(name: &str) -> anyhow::Result<Self> {
        let output = overlay::build(name)?;
        let warnings = output.warnings.iter().map(|warning| format!("overlay `{name}`: {warning}")).collect();
        Ok(Self { name: name.to_owned(), objects: overlay::objects(output)?, warnings })
    }

    /// Builds the objects of a topology in a namespace; `None` is `default`. `name` is a shipped name or the path of a file.
    ///
    /// # Errors
    /// Returns an error if the topology cannot be loaded, if the namespace is not valid, or if there is a namespace although the
    /// topology consists of overlays.
    pub fn topology(name: &str, namespace: Option<&str>) -> anyhow::Result<Self> {
        let loaded = topology::load(name)?;
        let warnings = topology::warnings(name, &loaded);
        if loaded.overlays.is_empty() {
            let objects = topology::objects(&loaded, namespace)?;
            return Ok(Self { name: name.to_owned(), objects, warnings });
        }
        let mut bundle = Self { name: name.to_owned(), objects: Vec::new(), warnings };
        for overlay in topology::overlays(name, &loaded, namespace)? {
            let overlay = Self::overlay(&overlay)?;
            bundle.objects.extend(overlay.objects);
            bundle.warnings.extend(overlay.warnings);
        }
        Ok(bundle)
    }

    /// Reads the objects of a file of YAML or JSON (`-` is stdin), or of all such files of a folder in the order of their names.
    ///
    /// # Errors
    /// Returns an error that names the file if one cannot be read or contains something that is not an object, or if there are no
    /// objects.
    pub fn files(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let mut objects = Vec::new();
        for file in expand(path)? {
            let place = file.display();
            let text =
                input::any_text(&file).with_context(|| format!("cannot read {place}")).exit(Exit::Usage)?;
            let parsed = manifest::parse(&text).with_context(|| format!("cannot use {place}"));
            objects.extend(parsed.exit(Exit::Usage)?);
        }
        if objects.is_empty() {
            return Err(anyhow!("{name} contains no objects")).exit(Exit::Usage);
        }
        Ok(Self { name, objects, warnings: Vec::new() })
    }
}

/// Returns the YAML and JSON files of a folder, or the file itself.
fn expand(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let read = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = read().with_context(|| format!("cannot read {}", path.display())).exit(Exit::Usage)?;
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json"));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(bundle: &Bundle) -> Vec<String> {
        bundle.objects.iter().map(manifest::describe).collect()
    }

    #[test]
    fn the_files_of_a_folder_are_read_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
        fs::write(
            folder.path().join("20.json"),
            r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"b"}}"#,
        )
        .unwrap();
        fs::write(folder.path().join("10.yaml"), format!("{}\n---\n{}\n", object("a"), object("c"))).unwrap();
        fs::write(folder.path().join("README.md"), "not a manifest").unwrap();
        let bundle = Bundle::files(folder.path()).unwrap();
        assert_eq!(names(&bundle), ["configmap `a`", "configmap `c`", "service `b`"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_is_invalid_usage() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bad.yaml"), "kind: Service\n").unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        for (path, expected) in [
            ("bad.yaml", "bad.yaml: in document 1: an object has no `apiVersion`"),
            ("absent.yaml", "cannot read"),
            ("empty", "empty contains no objects"),
        ] {
            let error = Bundle::files(&folder.path().join(path)).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
            assert_eq!(meshy_base::error::exit_of(&error), Exit::Usage, "{path}");
        }
    }
}
