//! Reading a lab's record: a file that anyone may have changed, so nothing in it is used unchecked.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{LabName, RECORD, Record, exists, folder};
use meshy_base::bounded::{self, Links};
use meshy_base::error::Advise;

/// The largest record that is read. A real one has less than 2 KiB.
const LARGEST: u64 = 1 << 20;

impl Record {
    /// The record of a lab, if there is one.
    ///
    /// # Errors
    /// The record cannot be read or understood, or is another lab's; the hint is the command that removes it.
    pub fn load(name: &LabName) -> anyhow::Result<Option<Self>> {
        if !exists(name)? {
            return Ok(None);
        }
        let file = folder(name)?.join(RECORD);
        read(name, &file)
            .with_context(|| format!("cannot use {}, the record of lab `{name}`", file.display()))
            .hint(format!("`meshy down --name {name}` removes the lab and this file"))
            .id("lab-record")
    }

    /// Whether this is a record that meshy wrote for the lab of that name.
    ///
    /// # Errors
    /// It refers to what is not this lab's.
    fn check(&self, name: &LabName) -> anyhow::Result<()> {
        ensure!(self.name == *name, "it is the record of lab `{}`", self.name);
        if let Some(own) = self.provider().own_context(name) {
            let context = &self.context;
            ensure!(
                *context == own,
                "its context is `{context}`, expected `{own}`: the entries of another are never changed"
            );
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            ensure!(
                kubeconfig.is_absolute(),
                "its kubeconfig `{}` is not an absolute path",
                kubeconfig.display()
            );
        }
        Ok(())
    }
}

fn read(name: &LabName, file: &Path) -> anyhow::Result<Option<Record>> {
    let text = match bounded::read(file, LARGEST, Links::Refused) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let record: Record = serde_json::from_slice(&text)?;
    record.check(name)?;
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lab::{ClusterState, Provider};

    fn name() -> LabName {
        "z".parse().unwrap()
    }

    /// What comes of a record that was changed.
    fn changed(change: impl FnOnce(&mut Record)) -> Result<Record, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(RECORD);
        let mut record = Record::new(&name(), Provider::Embedded, "embedded-z".into());
        change(&mut record);
        fs::write(&file, serde_json::to_vec(&record).unwrap()).unwrap();
        read(&name(), &file).map(|record| record.unwrap()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_record_is_used_only_in_the_folder_of_its_name_and_for_its_own_context() {
        assert!(changed(|_| {}).is_ok());
        let victim = changed(|r| r.name = "victim".parse().unwrap()).unwrap_err();
        assert_eq!(victim, "it is the record of lab `victim`");
        let foreign = changed(|r| r.context = "prod".into()).unwrap_err();
        assert!(foreign.starts_with("its context is `prod`, expected `embedded-z`"), "{foreign}");
        assert!(changed(|r| r.cluster = ClusterState::new(Provider::Kind)).is_err());
        assert!(changed(|r| *r = Record::new(&name(), Provider::Existing, "prod".into())).is_ok());
    }

    #[test]
    fn a_kubeconfig_is_the_users_file_wherever_it_is_but_named_whole() {
        assert!(changed(|r| r.kubeconfig = Some("/elsewhere/config".into())).is_ok());
        for part in ["", "config", "../config"] {
            let error = changed(|r| r.kubeconfig = Some(part.into())).unwrap_err();
            assert!(error.ends_with("is not an absolute path"), "{error}");
        }
    }

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/lab-c3662c0.json");
        let record = read(&"meshy".parse().unwrap(), &file).unwrap().unwrap();
        assert_eq!(
            (record.provider(), record.http_port(), record.made),
            (Provider::Embedded, Some(80), true)
        );
        assert_eq!(record.overlays, ["minimal-service", "bounced-service"]);
    }

    #[test]
    fn bytes_that_are_not_a_record_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(RECORD);
        let whole =
            serde_json::to_string(&Record::new(&name(), Provider::Embedded, "embedded-z".into())).unwrap();
        let deep = "[".repeat(100_000);
        let newer = whole.replacen('{', "{\"fleet\":true,", 1);
        let huge = format!("{whole}{}", " ".repeat(2 << 20));
        let traversal = whole.replace("\"z\"", "\"../z\"");
        for bad in ["", "{", "null", "[]", "\0\u{1}", &whole[..40], &deep, &newer, &huge, &traversal] {
            fs::write(&file, bad).unwrap();
            assert!(read(&name(), &file).is_err(), "{}", &bad[..bad.len().min(60)]);
        }
        fs::write(&file, whole).unwrap();
        assert!(read(&name(), &file).is_ok());
    }
}
