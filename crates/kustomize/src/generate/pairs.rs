//! Keys and values from literals, files and env files.

use std::collections::BTreeMap;

use super::Bytes;
use crate::error::Error;
use crate::kustomization::GeneratorArgs;
use crate::loader::Loader;

/// Collects the pairs; a key may come once.
pub(super) fn load(loader: &Loader<'_>, args: &GeneratorArgs) -> Result<BTreeMap<String, Bytes>, Error> {
    let mut pairs = BTreeMap::new();
    let mut add = |key: String, value: Bytes| match pairs.insert(key.clone(), value) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!("key `{key}` is there twice"))),
    };
    for path in &args.envs {
        let bytes = loader.read(path)?;
        for line in lines(&bytes) {
            let line = std::str::from_utf8(line).map_err(|_| Error::Parse {
                place: format!("`{path}`"),
                reason: "it is not UTF-8".to_owned(),
            })?;
            if let Some((key, value)) = variable(line) {
                add(key.to_owned(), value.into())?;
            }
        }
    }
    for literal in &args.literals {
        match literal.split_once('=') {
            Some((key, value)) if !key.is_empty() => add(key.to_owned(), unquoted(value).into())?,
            _ => return Err(Error::invalid(format!("literal `{literal}` is not KEY=VALUE"))),
        }
    }
    for source in &args.files {
        let (key, path) = match source.split('=').collect::<Vec<_>>()[..] {
            [path] => (path.rsplit('/').next().unwrap_or(path), path),
            [key, path] if !key.is_empty() && !path.is_empty() => (key, path),
            _ => return Err(Error::invalid(format!("file `{source}` is not PATH or KEY=PATH"))),
        };
        add(key.to_owned(), loader.read(path)?)?;
    }
    Ok(pairs)
}

/// Returns the lines of an env file, a byte order mark left out.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// `KEY=VALUE`; a key alone has an empty value, an empty line or a comment is none.
fn variable(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    (!key.is_empty()).then_some((key, value))
}

/// A literal's value without the quotes around it.
fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}
