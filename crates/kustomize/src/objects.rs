//! Reads objects from YAML.

use serde_json::Value;

use crate::error::Error;
use crate::resource::Resource;
use crate::yaml;

/// Returns the objects in `text`, lists of objects taken apart.
pub(crate) fn read(text: &str, place: &str) -> Result<Vec<Resource>, Error> {
    from_documents(yaml::documents(text, place)?)
}

/// Returns the objects among `documents`, lists of objects taken apart.
pub(crate) fn from_documents(documents: Vec<Value>) -> Result<Vec<Resource>, Error> {
    let mut objects = Vec::new();
    documents.into_iter().try_for_each(|document| flatten(document, &mut objects))?;
    Ok(objects)
}

fn flatten(object: Value, objects: &mut Vec<Resource>) -> Result<(), Error> {
    if object.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(());
    }
    let resource = Resource::checked(object)?;
    if !resource.kind().ends_with("List") {
        objects.push(resource);
        return Ok(());
    }
    match resource.object.get("items") {
        None => objects.push(resource),
        Some(Value::Null) => {}
        Some(Value::Array(items)) => items.iter().cloned().try_for_each(|item| flatten(item, objects))?,
        Some(_) => return Err(Error::invalid(format!("items of a {} is not a list", resource.kind()))),
    }
    Ok(())
}
