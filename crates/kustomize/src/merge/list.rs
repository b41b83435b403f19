//! Lists whose elements have keys.
//!
//! What comes of a merge is what kustomize makes of it, its habits included: the patch's elements come first; where an
//! element takes several keys, merged ones keep their place; an element that leaves out a key that others have is not
//! merged (a Service's port without a protocol, if another port has one); an element without any key hides those with one.

use serde_json::Value;

use super::{DIRECTIVE, Directive, From, Shape, added as added_value, directive, walk};
use crate::error::Error;

/// Merges the elements of `patch` into those of `target` with the same keys. Without keys the lists are sets.
pub(super) fn merge(
    target: Vec<Value>,
    patch: &[Value],
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    let mut patch = Elements(patch.to_vec());
    match own_directive(&mut patch)? {
        Directive::Delete => Ok(None),
        // The list itself takes the place of the old one.
        Directive::Replace => elements(patch, None, true, keys, element).map(Some),
        Directive::Merge => elements(Elements(target), Some(patch), false, keys, element).map(Some),
    }
}

/// Returns a list of a patch that is merged with itself: its directive is followed.
pub(super) fn itself(
    list: Vec<Value>,
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    let mut list = Elements(list);
    match own_directive(&mut list)? {
        Directive::Delete => Ok(None),
        Directive::Replace | Directive::Merge => elements(list, None, true, keys, element).map(Some),
    }
}

/// Returns a list of a patch where the object has none. A directive for the list stays an element, as in kustomize.
pub(super) fn added(
    list: Vec<Value>,
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    elements(Elements(list), None, true, keys, element).map(Some)
}

/// Returns a list of an object whose patch does not name it.
pub(super) fn unpatched(
    list: Vec<Value>,
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    elements(Elements(list), None, false, keys, element).map(Some)
}

/// Merges `patch` into `target`. Without a patch the target stays, or is merged with itself.
fn elements(
    mut target: Elements,
    mut patch: Option<Elements>,
    itself: bool,
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Value, Error> {
    let sources = || patch.iter().chain([&target]).flat_map(|list| &list.0);
    if keys.is_empty() {
        let mut set: Vec<Value> = Vec::new();
        for item in sources() {
            if !set.contains(item) {
                set.push(item.clone());
            }
        }
        return Ok(Value::Array(set));
    }
    let (keys, wanted) = wanted(sources(), keys);
    let mut merged = Elements(Vec::new());
    for values in &wanted {
        let key = Key { names: &keys, values };
        let result = match (target.found(&key), patch.as_mut().and_then(|patch| patch.found(&key))) {
            (Some(old), Some(new)) => {
                let (result, replaces) = (walk(old.clone(), From::Patch(new), element)?, drop_directive(new));
                if let Some(result) = result.as_ref().filter(|_| !replaces) {
                    old.clone_from(result);
                }
                result
            }
            (Some(old), None) => {
                let result = walk(old.clone(), if itself { From::Itself } else { From::Nothing }, element)?;
                if let Some(result) = &result {
                    old.clone_from(result);
                } else {
                    drop_directive(old);
                }
                result
            }
            (None, Some(new)) => {
                let result = added_value(new, element)?;
                drop_directive(new);
                result
            }
            (None, None) => None,
        };
        match result.filter(|result| !is_empty(result)) {
            None => target.set(&key, None),
            Some(result) => merged.set(&key, Some(result)),
        }
    }
    if wanted.is_empty() {
        return Ok(Value::Array(target.0));
    }
    for old in target.0 {
        let mut values = Vec::new();
        for key in &keys {
            match old.get(*key) {
                Some(value) => values.push(written(value)),
                None => merged.0.push(old.clone()),
            }
        }
        let key = Key { names: &keys, values: &values };
        if keys.len() > 1 {
            merged.set(&key, None);
        }
        merged.set(&key, Some(old));
    }
    Ok(Value::Array(merged.0))
}

/// Returns the keys that at least one element has, and their values in each element, each combination once. If no element
/// has a key, all keys count.
fn wanted<'a, 'k>(
    elements: impl Iterator<Item = &'a Value>,
    keys: &[&'k str],
) -> (Vec<&'k str>, Vec<Vec<String>>) {
    let mut wanted: Vec<Vec<String>> = Vec::new();
    for item in elements {
        let values: Vec<String> = keys.iter().map(|key| text(item.get(*key))).collect();
        if !wanted.contains(&values) {
            wanted.push(values);
        }
    }
    if keys.len() > 1 {
        complete(&mut wanted);
    }
    let used: Vec<usize> =
        (0..keys.len()).filter(|&at| wanted.iter().any(|values| !values[at].is_empty())).collect();
    let used = if used.is_empty() { (0..keys.len()).collect() } else { used };
    for values in &mut wanted {
        *values = used.iter().map(|&at| values[at].clone()).collect();
    }
    (used.iter().map(|&at| keys[at]).collect(), wanted)
}

/// Lets keys that could mean one element, since neither contradicts the other, complete each other.
fn complete(wanted: &mut [Vec<String>]) {
    for i in 0..wanted.len() {
        let one = wanted[i].clone();
        for j in 0..wanted.len() {
            let pairs = || one.iter().zip(&wanted[j]);
            let contradict = pairs().any(|(a, b)| a != b && !a.is_empty() && !b.is_empty());
            if !contradict && pairs().any(|(a, b)| a == b) {
                let both: Vec<String> =
                    pairs().map(|(a, b)| if a.is_empty() { b } else { a }.clone()).collect();
                wanted[i].clone_from(&both);
                wanted[j] = both;
            }
        }
    }
}

/// The key that identifies an element.
struct Key<'a> {
    names: &'a [&'a str],
    /// As many as names, or fewer where an element leaves some out.
    values: &'a [String],
}

impl Key<'_> {
    /// Returns whether an element is meant by those names that have a value, or, where none has, whether all its names are
    /// empty text.
    fn finds(&self, element: &Value) -> bool {
        let has = |name: &str, value: &str| element.get(name).is_some_and(|have| written(have) == *value);
        let mut pairs = self.names.iter().zip(self.values).filter(|(_, value)| !value.is_empty()).peekable();
        if pairs.peek().is_none() {
            return self.names.iter().all(|name| has(name, ""));
        }
        pairs.all(|(name, value)| has(name, value))
    }

    /// Returns whether an element has all names, with these values where there are some.
    fn covers(&self, element: &Value) -> bool {
        let mut pairs = self.names.iter().zip(self.values);
        pairs.len() > 0
            && pairs.all(|(name, value)| {
                element.get(*name).is_some_and(|have| value.is_empty() || written(have) == *value)
            })
    }
}

struct Elements(Vec<Value>);

impl Elements {
    /// Returns the first element that the key finds.
    fn found(&mut self, key: &Key<'_>) -> Option<&mut Value> {
        self.0.iter_mut().find(|item| key.finds(item))
    }

    /// Puts an element in the place of those that the key covers, or at the end; without one only removes those. Removes empty
    /// elements, and all elements if the key has no values.
    fn set(&mut self, key: &Key<'_>, element: Option<Value>) {
        let mut found = false;
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for old in self.0.drain(..).filter(|old| !is_empty(old)) {
            if !key.covers(&old) {
                if !key.values.is_empty() {
                    kept.push(old);
                }
            } else if let Some(element) = &element {
                found = true;
                kept.push(element.clone());
            }
        }
        kept.extend(element.filter(|element| !found && !element.is_null()));
        self.0 = kept;
    }
}

/// Returns the directive for the list, which is a separate element, and removes it.
fn own_directive(list: &mut Elements) -> Result<Directive, Error> {
    let first = list.0.iter().filter_map(Value::as_object).find(|fields| fields.contains_key(DIRECTIVE));
    let Some(fields) = first.filter(|fields| fields.len() == 1) else { return Ok(Directive::Merge) };
    let directive = directive(fields)?;
    let word = vec![text(fields.get(DIRECTIVE))];
    list.set(&Key { names: &[DIRECTIVE], values: &word }, None);
    Ok(directive)
}

fn is_empty(element: &Value) -> bool {
    element.is_null() || element.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Removes an element's own directive, which has been followed. Returns whether it was `replace`.
fn drop_directive(element: &mut Value) -> bool {
    element.as_object_mut().and_then(|fields| fields.remove(DIRECTIVE)).is_some_and(|word| word == "replace")
}

/// The value of a key that identifies an element; empty where there is none.
fn text(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map(written).unwrap_or_default()
}

/// A key's value as written: a port as number equals the same port as text.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
