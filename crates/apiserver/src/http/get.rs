//! Get requests.

use http::Response;

use super::path::ResourcePath;
use super::representation;
use super::request::ApiRequest;
use super::response::{self, Body};
use crate::error::{ApiError, Result};
use crate::store::Key;
use crate::write::to_scale;

/// Returns an object or its Scale.
pub(super) fn get(request: &ApiRequest, path: &ResourcePath) -> Result<Response<Body>> {
    let kind = &path.kind;
    let resource = kind.resource();
    let key = Key::new(&path.namespace, &path.name);
    let found = request.state.store.collection(&kind.collection()).get(&key);
    let object = found.ok_or_else(|| ApiError::not_found(&resource, &path.name))?;
    if path.subresource == "scale" {
        return Ok(response::json(200, &to_scale(kind, &object)));
    }
    Ok(representation::object(&request.form(false)?, kind, 200, &object))
}
