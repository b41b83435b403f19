//! `images`: names, tags and digests.

use regex::Regex;
use serde_json::Value;

use super::specs;
use crate::error::Error;
use crate::kustomization::Image;
use crate::resource::Resource;

/// Sets the images, first wherever a list of containers is, then in the other fields of a pod.
pub(super) fn set(images: &[Image], list: &mut [Resource]) -> Result<(), Error> {
    for image in images {
        let Some(pattern) = Pattern::of(&image.name) else { continue };
        for resource in list.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
            anywhere(&mut resource.object, &mut |field| update(field, image, &pattern))?;
            for spec in &*specs::IMAGES {
                spec.visit(resource, None, &mut |field| update(field, image, &pattern))?;
            }
        }
    }
    Ok(())
}

/// Calls `set` with the image of each container in `value`, however deep.
fn anywhere(value: &mut Value, set: &mut dyn FnMut(&mut Value) -> Result<(), Error>) -> Result<(), Error> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| anywhere(item, set)),
        Value::Object(fields) => fields.iter_mut().try_for_each(|(key, value)| {
            anywhere(value, set)?;
            match value {
                Value::Array(containers) if key == "containers" || key == "initContainers" => containers
                    .iter_mut()
                    .filter_map(|container| container.get_mut("image"))
                    .try_for_each(&mut *set),
                _ => Ok(()),
            }
        }),
        _ => Ok(()),
    }
}

fn update(field: &mut Value, image: &Image, pattern: &Pattern) -> Result<(), Error> {
    let written = match &*field {
        Value::Null => return Ok(()),
        Value::Array(_) | Value::Object(_) => return Err(Error::invalid("an image is not text")),
        Value::String(written) => written.clone(),
        other => other.to_string(),
    };
    if !pattern.fits(&written) {
        return Ok(());
    }
    let (name, mut tag, mut digest) = split(&written);
    let name = if image.new_name.is_empty() { name } else { &image.new_name };
    let suffixed;
    match (image.new_tag.as_str(), image.digest.as_str()) {
        ("", "") if image.tag_suffix.is_empty() => {}
        ("", "") => {
            suffixed = format!("{tag}{}", image.tag_suffix);
            (tag, digest) = (&suffixed, "");
        }
        (new_tag, new_digest) => (tag, digest) = (new_tag, new_digest),
    }
    let mut updated = name.to_owned();
    for (mark, part) in [(':', tag), ('@', digest)] {
        if !part.is_empty() {
            updated.push(mark);
            updated.push_str(part);
        }
    }
    *field = updated.into();
    Ok(())
}

/// Name, tag and digest. A colon before the first slash belongs to a registry's port.
fn split(image: &str) -> (&str, &str, &str) {
    let path = image.find('/').unwrap_or(0);
    let (rest, digest) = match image[path..].find('@') {
        Some(at) => (&image[..path + at], &image[path + at + 1..]),
        None => (image, ""),
    };
    match rest[path..].find(':') {
        Some(colon) => (&rest[..path + colon], &rest[path + colon + 1..], digest),
        None => (rest, "", digest),
    }
}

/// Which images a name means. kustomize uses the name as a regular expression.
enum Pattern {
    /// A name in which only a dot is special, which is nearly every name: matched by hand, since compiling an
    /// expression costs more than all of an overlay's other work.
    Name(Vec<u8>),
    Expression(Regex),
}

impl Pattern {
    fn of(name: &str) -> Option<Self> {
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b)) {
            return Some(Self::Name(name.as_bytes().to_vec()));
        }
        // What kustomize cannot compile matches nothing there.
        let tail = r"(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?";
        Regex::new(&format!("^{name}{tail}$")).ok().map(Self::Expression)
    }

    fn fits(&self, image: &str) -> bool {
        match self {
            Self::Expression(regex) => regex.is_match(image),
            Self::Name(name) => {
                let Some((head, tail)) = image.as_bytes().split_at_checked(name.len()) else { return false };
                head.iter().zip(name).all(|(have, want)| have == want || *want == b'.') && is_tail(tail)
            }
        }
    }
}

/// Returns whether `tail` is nothing, a tag, a digest or both.
fn is_tail(tail: &[u8]) -> bool {
    let word = |text: &[u8]| text.iter().all(|b| b.is_ascii_alphanumeric() || b"_.{}-".contains(b));
    let mut halves = tail.splitn(2, |b| *b == b'@');
    let tag = halves.next().unwrap_or_default();
    let tag_fits = tag.is_empty() || tag.strip_prefix(b":").is_some_and(word);
    let digest_fits = halves.next().is_none_or(|digest| {
        let mut parts = digest.splitn(2, |b| *b == b':');
        let algorithm = parts.next().unwrap_or_default();
        let named = algorithm
            .split(|b| b".+_-".contains(b))
            .all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_alphanumeric));
        named && parts.next().is_some_and(word)
    });
    tag_fits && digest_fits
}
