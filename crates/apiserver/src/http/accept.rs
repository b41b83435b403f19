//! The header `Accept`: in which form a client gets objects.

use crate::error::{ApiError, Result};
use crate::table::TableOptions;

/// The form of objects in a response.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Complete objects.
    Objects,
    /// A table for people.
    Table(TableOptions),
    /// Only the metadata, as `PartialObjectMetadata` in this version of `meta.k8s.io`.
    Metadata(&'static str),
}

/// Returns the first form in an `Accept` header that this server has, or [`Form::Objects`]. `is_list` is true for requests
/// that return a list, which a watch does not.
///
/// # Errors
/// 406 if metadata of one object is requested for a list, or the reverse.
pub(super) fn form(accept: &str, include_object: &str, is_list: bool) -> Result<Form> {
    for media_type in accept.split(',') {
        let mut parts = media_type.split(';').map(str::trim);
        // Responses are JSON; many clients prefer protobuf and accept JSON, too.
        if !matches!(parts.next(), Some("application/json" | "application/*" | "*/*")) {
            continue;
        }
        let parameter = |name: &str| {
            let found =
                media_type.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default()
        };
        let version = match (parameter("g"), parameter("v")) {
            ("meta.k8s.io", "v1") => "v1",
            ("meta.k8s.io", "v1beta1") => "v1beta1",
            _ if parameter("as").is_empty() => return Ok(Form::Objects),
            _ => continue,
        };
        return match (parameter("as"), is_list) {
            ("", _) => Ok(Form::Objects),
            ("Table", _) => Ok(Form::Table(TableOptions::new(version, include_object))),
            ("PartialObjectMetadata", false) | ("PartialObjectMetadataList", true) => {
                Ok(Form::Metadata(version))
            }
            ("PartialObjectMetadata", true) => {
                Err(not_acceptable("you requested PartialObjectMetadata, but the requested object is a list"))
            }
            ("PartialObjectMetadataList", false) => Err(not_acceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list",
            )),
            _ => continue,
        };
    }
    Ok(Form::Objects)
}

fn not_acceptable(message: &str) -> ApiError {
    ApiError::new(406, "NotAcceptable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

    #[test]
    fn first_form_that_the_server_has_is_used() {
        let form = |accept: &str| form(accept, "", false).expect("a form");
        for accept in [
            "",
            "application/json",
            "*/*",
            "application/yaml",
            "application/json;as=Other;g=meta.k8s.io;v=v1",
        ] {
            assert!(matches!(form(accept), Form::Objects), "{accept}");
        }
        let client_go = format!("application/vnd.kubernetes.protobuf;{METADATA},application/json;{METADATA}");
        assert!(matches!(form(&client_go), Form::Metadata("v1")));
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert!(matches!(form(kubectl), Form::Table(_)));
        assert!(matches!(
            form("application/json, application/json;as=Table;v=v1;g=meta.k8s.io"),
            Form::Objects
        ));
    }

    #[test]
    fn metadata_of_one_object_is_not_acceptable_for_a_list() {
        let one = format!("application/json;{METADATA}");
        let list = one.replace("Metadata;", "MetadataList;");
        assert_eq!(form(&one, "", true).expect_err("a list").code, 406);
        assert_eq!(form(&list, "", false).expect_err("no list").code, 406);
        assert!(matches!(form(&list, "", true).expect("a list"), Form::Metadata("v1")));
    }
}
