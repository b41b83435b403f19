//! The programs of a cluster, by image.

use std::sync::Arc;

use super::Program;
use super::image::{BUILT_IN_PREFIX, built_in_repository, repository, short_name};

/// The images that a program is registered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Images {
    /// Images of this name, from any registry and with any tag or digest.
    Named(String),
    /// One image, with its tag or digest.
    Exact(String),
    /// One repository, with any tag or digest; `shop/cart` is in any registry.
    Repository(String),
    /// All repositories with this prefix.
    Prefix(String),
}

impl Images {
    pub(crate) fn named(name: &str) -> Self {
        Self::Named(name.to_owned())
    }

    /// Returns the images that a user selects: an image with a tag or digest is the only one, a repository stands for all its
    /// tags, a name for images from any registry.
    pub(crate) fn selected(text: &str) -> Self {
        let repository = repository(text);
        if repository.len() != text.len() {
            Self::Exact(text.to_owned())
        } else if text.contains('/') {
            Self::Repository(text.to_owned())
        } else {
            Self::Named(text.to_owned())
        }
    }

    /// Returns the images of a built-in component.
    pub(crate) fn built_in(component: &str) -> Self {
        Self::Repository(built_in_repository(component))
    }

    /// Whether an image is one of these.
    pub(crate) fn contain(&self, image: &str) -> bool {
        let repository = repository(image);
        match self {
            Self::Exact(exact) => image == exact,
            Self::Named(name) => short_name(repository) == name,
            Self::Repository(name) => repository
                .strip_suffix(name.as_str())
                .is_some_and(|registry| registry.is_empty() || registry.ends_with('/')),
            Self::Prefix(prefix) => repository.starts_with(prefix),
        }
    }
}

/// An image that no program is registered for: the message of ErrImagePull.
///
/// The words `not found` let clients that wait for the pod stop: a container runtime reports a missing image with them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "program of image \"{image}\" not found: containers of the embedded cluster run inside the meshy process, and only \
     these images have a program: {}; name a program of this machine: meshy up --program {image}=COMMAND; or use a kind cluster: \
     meshy up --provider kind",
    .supported.join(", ")
)]
pub(crate) struct UnknownImage {
    image: String,
    supported: Vec<String>,
}

/// The programs of a cluster.
#[derive(Default)]
pub(crate) struct Programs(Vec<(Images, Arc<dyn Program>)>);

impl Programs {
    /// Registers a program. If several programs match an image, the first one is used.
    pub(crate) fn register(&mut self, images: Images, program: impl Program) {
        self.0.push((images, Arc::new(program)));
    }

    /// Returns the program of an image.
    ///
    /// # Errors
    /// No program is registered for the image.
    pub(crate) fn find(&self, image: &str) -> Result<Arc<dyn Program>, UnknownImage> {
        let found = self.0.iter().find(|(images, _)| images.contain(image));
        found.map(|(_, program)| program.clone()).ok_or_else(|| self.unknown(image))
    }

    fn unknown(&self, image: &str) -> UnknownImage {
        let name = |(images, _): &(Images, _)| match images {
            Images::Named(name) | Images::Exact(name) => Some(name.clone()),
            Images::Repository(name) => (!name.starts_with(BUILT_IN_PREFIX)).then(|| name.clone()),
            Images::Prefix(_) => None,
        };
        let supported = self.0.iter().filter_map(name).collect();
        UnknownImage { image: image.to_owned(), supported }
    }
}

#[cfg(test)]
mod tests {
    use meshy_net::BoxFuture;

    use super::super::image::{BUILT_IN_PREFIX, built_in_image};
    use super::super::{Execution, ExitCode, Program};
    use super::{Images, Programs};

    /// A program that exits with a code.
    struct Exit(ExitCode);

    impl Program for Exit {
        fn run(&self, _: Execution) -> BoxFuture<'static, ExitCode> {
            Box::pin(std::future::ready(self.0))
        }
    }

    fn programs() -> Programs {
        let mut programs = Programs::default();
        programs.register(Images::built_in("proxy"), Exit(1));
        programs.register(Images::Prefix(BUILT_IN_PREFIX.to_owned()), Exit(2));
        programs.register(Images::named("minimal-service"), Exit(3));
        programs
    }

    #[tokio::test]
    async fn the_first_registered_program_of_an_image_runs() {
        for (image, exit_code) in [
            (built_in_image("proxy").as_str(), 1),
            (built_in_image("destination").as_str(), 2),
            ("minimal-service", 3),
            ("minimal-service:v2", 3),
            ("localhost:5000/minimal-service:v1.0.0", 3),
            ("registry.example/team/minimal-service@sha256:00", 3),
        ] {
            let program = programs().find(image).expect("a program");
            assert_eq!(program.run(Execution::for_test()).await, exit_code, "{image}");
        }
    }

    #[test]
    fn an_unknown_image_is_an_error_with_the_supported_images_and_a_hint() {
        for image in ["nginx", "minimal-service-v2:1", "localhost:5000/other:minimal-service"] {
            let error = programs().find(image).err().expect("an error").to_string();
            assert!(error.starts_with(&format!("program of image \"{image}\" not found: ")), "{error}");
            assert!(error.contains("have a program: minimal-service; "), "{error}");
            assert!(error.contains("--provider kind"), "{error}");
        }
    }
}
