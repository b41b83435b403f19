//! Selects the objects of a patch or a replacement.

mod labels;

use regex::Regex;

use crate::error::Error;
use crate::id::{Gvk, Id};
use crate::kustomization::SelectorText;
use crate::resource::Resource;

pub(crate) use labels::Requirements;

/// A selector ready for use: every part must match, an empty one matches all.
pub(crate) struct Selector {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: Requirements,
    annotations: Requirements,
    by_id: bool,
    by_text: bool,
}

impl Selector {
    pub(crate) fn new(text: &SelectorText) -> Result<Self, Error> {
        Ok(Self {
            group: Pattern::new(&text.group)?,
            version: Pattern::new(&text.version)?,
            kind: Pattern::new(&text.kind)?,
            name: Pattern::new(&text.name)?,
            namespace: Pattern::new(&text.namespace)?,
            labels: Requirements::parse(&text.label_selector)?,
            annotations: Requirements::parse(&text.annotation_selector)?,
            by_id: [&text.group, &text.version, &text.kind, &text.name, &text.namespace]
                .iter()
                .any(|part| !part.is_empty()),
            by_text: !text.label_selector.is_empty() || !text.annotation_selector.is_empty(),
        })
    }

    /// Returns whether a patch with this target works on `resource`: by the name and namespace it has or came with.
    pub(crate) fn selects(&self, resource: &Resource) -> bool {
        let gvk = resource.gvk();
        if !self.fits_gvk(&gvk) || !self.fits_text(resource) {
            return false;
        }
        let (now, first) = (resource.id(), resource.original_id());
        (self.namespace.fits(&first.namespace) || self.namespace.fits(&now.namespace))
            && (self.name.fits(&first.name) || self.name.fits(&now.name))
    }

    /// Returns whether one id, with the namespace as written, is meant.
    pub(crate) fn fits_id(&self, gvk: &Gvk, name: &str, namespace: &str) -> bool {
        self.fits_gvk(gvk) && self.name.fits(name) && self.namespace.fits(namespace)
    }

    fn fits_gvk(&self, gvk: &Gvk) -> bool {
        self.group.fits(&gvk.group) && self.version.fits(&gvk.version) && self.kind.fits(&gvk.kind)
    }

    /// Returns whether labels and annotations fit.
    pub(crate) fn fits_text(&self, resource: &Resource) -> bool {
        self.labels.hold(|key| resource.label(key)) && self.annotations.hold(|key| resource.annotation(key))
    }

    /// Returns whether it names any part of an id.
    pub(crate) fn by_id(&self) -> bool {
        self.by_id
    }

    /// Returns whether it names labels or annotations.
    pub(crate) fn by_text(&self) -> bool {
        self.by_text
    }
}

/// A regular expression that must match as a whole.
enum Pattern {
    Any,
    /// Text in which only a dot is special: compared by hand, since compiling an expression costs more than the rest of
    /// an overlay's work.
    Text(String),
    Expression(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/.".contains(&b)) {
            return Ok(Self::Text(text.to_owned()));
        }
        Regex::new(&format!("^(?:{text})$"))
            .map(Self::Expression)
            .map_err(|error| Error::invalid(format!("`{text}` is no regular expression: {error}")))
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(want) => {
                let (have, want) = (text.as_bytes(), want.as_bytes());
                have.len() == want.len()
                    && have.iter().zip(want).all(|(have, want)| have == want || *want == b'.')
            }
            Self::Expression(regex) => regex.is_match(text),
        }
    }
}

/// Returns the one object in `list` that has, or had, `id`.
pub(crate) fn one<'a>(list: &'a mut [Resource], id: &Id, what: &str) -> Result<&'a mut Resource, Error> {
    let mut found = list.iter_mut().filter(|resource| resource.ever_was(id));
    match (found.next(), found.count()) {
        (Some(resource), 0) => Ok(resource),
        (first, more) => {
            let found = more + usize::from(first.is_some());
            Err(Error::Target { what: format!("{what} for `{id}`"), found })
        }
    }
}
