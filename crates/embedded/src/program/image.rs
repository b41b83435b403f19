//! The names of container images.

/// The prefix of the images of built-in components. No registry has this name.
pub(crate) const BUILT_IN_PREFIX: &str = "meshy.invalid/built-in/";

/// Returns the image of a built-in component.
pub(crate) fn built_in_image(component: &str) -> String {
    format!("{}:{}", built_in_repository(component), env!("CARGO_PKG_VERSION"))
}

/// Returns the repository of a built-in component: its image without a tag.
pub(super) fn built_in_repository(component: &str) -> String {
    format!("{BUILT_IN_PREFIX}{component}")
}

/// Returns the repository of an image: its name with the registry, without tag and digest.
pub(super) fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    // A colon before the last slash belongs to the port of the registry.
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    name[last..].find(':').map_or(name, |colon| &name[..last + colon])
}

/// Returns the last element of a repository: the name without the registry.
pub(super) fn short_name(repository: &str) -> &str {
    repository.rsplit('/').next().unwrap_or(repository)
}

#[cfg(test)]
mod tests {
    use super::{repository, short_name};

    #[test]
    fn a_repository_has_no_tag_and_no_digest() {
        for (image, expected) in [
            ("web", "web"),
            ("web:v2", "web"),
            ("localhost:5000/web", "localhost:5000/web"),
            ("localhost:5000/web:v1@sha256:00", "localhost:5000/web"),
            ("registry.example/team/web@sha256:00", "registry.example/team/web"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
            assert_eq!(short_name(repository(image)), "web", "{image}");
        }
    }
}
