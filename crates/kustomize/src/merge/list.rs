//! Lists whose elements have keys.
//!
//! What comes of a merge is what kustomize makes of it, its habits included: the patch's elements come first; where an
//! element takes several keys, merged ones keep their place; an element that leaves out a key that others have is not
//! merged (a Service's port without a protocol, if another port has one).

use serde_json::Value;

use super::{DIRECTIVE, Directive, Shape, cleaned, directive, strategic};
use crate::error::Error;

/// Merges the elements of `patch` into those of `target` with the same keys. Without keys the lists are sets.
pub(super) fn merge(
    mut target: Vec<Value>,
    patch: &[Value],
    keys: &[&str],
    element: Option<&'static Shape>,
) -> Result<Option<Value>, Error> {
    let (about_the_list, patch): (Vec<&Value>, Vec<&Value>) =
        patch.iter().partition(|item| is_directive(item));
    if let Some(Value::Object(first)) = about_the_list.first() {
        match directive(first)? {
            Directive::Delete => return Ok(None),
            Directive::Replace => target.clear(),
            Directive::Merge => {}
        }
    }
    if keys.is_empty() {
        let mut set: Vec<Value> = Vec::new();
        for item in patch.into_iter().cloned().chain(target) {
            if !set.contains(&item) {
                set.push(item);
            }
        }
        return Ok(Some(Value::Array(set)));
    }
    let mut wanted: Vec<Vec<String>> = Vec::new();
    for item in patch.iter().copied().chain(&target) {
        let values: Vec<String> = keys.iter().map(|key| text(item.get(*key))).collect();
        if !wanted.contains(&values) {
            wanted.push(values);
        }
    }
    if keys.len() > 1 {
        complete(&mut wanted);
    }
    // Ignores a key that no element has.
    let used: Vec<usize> =
        (0..keys.len()).filter(|&at| wanted.iter().any(|values| !values[at].is_empty())).collect();
    let used = if used.is_empty() { (0..keys.len()).collect() } else { used };
    let keys: Vec<&str> = used.iter().map(|&at| keys[at]).collect();
    let mut merged = Elements(Vec::new());
    let mut target = Elements(target);
    for values in wanted {
        let values: Vec<String> = used.iter().map(|&at| values[at].clone()).collect();
        let key = Key { names: &keys, values: &values };
        let given = patch.iter().find(|item| key.finds(item)).copied();
        let result = match (target.0.iter_mut().find(|item| key.finds(item)), given) {
            (Some(old), Some(new)) => {
                let result = strategic(old.clone(), new, element)?;
                let replaces = new.as_object().map(directive).transpose()? == Some(Directive::Replace);
                if let Some(result) = result.as_ref().filter(|_| !replaces) {
                    old.clone_from(result);
                }
                result
            }
            (Some(old), None) => Some(old.clone()),
            (None, Some(new)) => cleaned(new, element)?,
            (None, None) => None,
        };
        match result.filter(|result| result.as_object().is_none_or(|fields| !fields.is_empty())) {
            None => target.put(&key, None),
            Some(result) => merged.put(&key, Some(result)),
        }
    }
    for old in target.0 {
        let mut values = Vec::new();
        for key in &keys {
            match old.get(*key) {
                Some(value) if !value.is_null() => values.push(text(Some(value))),
                _ => merged.0.push(old.clone()),
            }
        }
        let key = Key { names: &keys, values: &values };
        if keys.len() > 1 {
            merged.put(&key, None);
        }
        merged.put(&key, Some(old));
    }
    Ok(Some(Value::Array(merged.0)))
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
    /// Returns whether an element is meant by those names that have a value; at least one has.
    fn finds(&self, element: &Value) -> bool {
        let mut pairs = self.names.iter().zip(self.values).filter(|(_, value)| !value.is_empty()).peekable();
        pairs.peek().is_some() && pairs.all(|(name, value)| text(element.get(*name)) == *value)
    }

    /// Returns whether an element has all names, with these values where there are some.
    fn covers(&self, element: &Value) -> bool {
        let mut pairs = self.names.iter().zip(self.values);
        pairs.len() > 0
            && pairs.all(|(name, value)| {
                element
                    .get(*name)
                    .is_some_and(|have| !have.is_null() && (value.is_empty() || text(Some(have)) == *value))
            })
    }
}

struct Elements(Vec<Value>);

impl Elements {
    /// Puts an element in the place of those that the key covers, or at the end; without one only removes those.
    fn put(&mut self, key: &Key<'_>, element: Option<Value>) {
        let mut found = false;
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for old in self.0.drain(..) {
            if !key.covers(&old) {
                kept.push(old);
            } else if let Some(element) = &element {
                found = true;
                kept.push(element.clone());
            }
        }
        kept.extend(element.filter(|_| !found));
        self.0 = kept;
    }
}

/// Returns whether an element is only a directive for the list.
fn is_directive(item: &Value) -> bool {
    item.as_object().is_some_and(|fields| fields.len() == 1 && fields.contains_key(DIRECTIVE))
}

/// A key's value as written: a port as number equals the same port as text. Empty where there is none.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
