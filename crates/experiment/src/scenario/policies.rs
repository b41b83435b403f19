//! Finds and reads the policy files that steps name.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};
use serde_json::Value;

use super::{Scenario, parse, shipped};
use crate::At;
use crate::error::{Invalid, Problem, instead_of};

static ROUTES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../linkerd/routes");
static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../linkerd/service-profiles");

/// The kinds that a policy file may contain. Of a Service only the annotations are applied.
pub const KINDS: [&str; 11] = [
    "ServiceProfile",
    "HTTPRoute",
    "GRPCRoute",
    "Server",
    "AuthorizationPolicy",
    "ServerAuthorization",
    "MeshTLSAuthentication",
    "NetworkAuthentication",
    "HTTPLocalRateLimitPolicy",
    "EgressNetwork",
    "Service",
];

/// A policy file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The name in the step.
    pub name: String,
    /// Where it was found, for errors.
    pub place: String,
    /// Its text, with `${namespace}` where the namespace of the run belongs.
    pub text: String,
}

impl PolicyFile {
    /// Returns the objects of the file, `${namespace}` replaced.
    ///
    /// # Errors
    /// The file is not YAML, or contains a kind that is not one of [`KINDS`].
    pub fn objects(&self, namespace: &str) -> Result<Vec<Value>, Problem> {
        let values = BTreeMap::from([("namespace".to_owned(), namespace.to_owned())]);
        let (text, _) = parse::replace(&self.place, &self.text, &values)?;
        let wrong =
            |text: String, hint| Problem { file: self.place.clone(), text, hint, ..Problem::default() };
        let options = serde_yaml::options! { with_snippet: false };
        let parsed = serde_yaml::from_multiple_with_options::<Value>(&text, options);
        let objects = parsed.map_err(|error| wrong(error.to_string(), None))?;
        let objects: Vec<Value> = objects.into_iter().filter(|object| !object.is_null()).collect();
        for object in &objects {
            let kind = object["kind"].as_str().unwrap_or_default();
            if !KINDS.contains(&kind) {
                return Err(wrong(format!("unknown policy kind `{kind}`"), instead_of(kind, KINDS)));
            }
        }
        if objects.is_empty() {
            return Err(wrong("the file contains no object".to_owned(), None));
        }
        Ok(objects)
    }
}

/// Looks a policy name up: next to the scenario by `near` (which reads a relative path), then among the shipped files.
///
/// # Errors
/// The name is an absolute path or leaves the folder; no file has that name.
pub fn find(name: &str, near: impl Fn(&str) -> Option<String>) -> Result<PolicyFile, Problem> {
    find_among(name, near, &[])
}

/// As [`find`]; `names` are files next to the scenario, of which an error names the nearest.
fn find_among(
    name: &str,
    near: impl Fn(&str) -> Option<String>,
    names: &[String],
) -> Result<PolicyFile, Problem> {
    let file = |place: String, text: String| PolicyFile { name: name.to_owned(), place, text };
    let wrong = |text: String, hint| Problem { file: name.to_owned(), text, hint, ..Problem::default() };
    if name.starts_with('/') || name.split(['/', '\\']).any(|part| part == "..") {
        return Err(wrong("a policy is a file below the folder of the scenario".to_owned(), None));
    }
    if let Some(text) = near(name) {
        return Ok(file(name.to_owned(), text));
    }
    let all = || [("linkerd/routes", &ROUTES), ("linkerd/service-profiles", &PROFILES)];
    for (folder, files) in all() {
        if let Some(text) = files.get_file(name).and_then(include_dir::File::contents_utf8) {
            return Ok(file(format!("{folder}/{name}"), text.to_owned()));
        }
    }
    let shipped =
        all().into_iter().flat_map(|(_, files)| files.files()).filter_map(|file| file.path().to_str());
    let hint = instead_of(name, names.iter().map(String::as_str).chain(shipped));
    Err(wrong("there is no such policy, neither next to the scenario nor shipped".to_owned(), hint))
}

impl Scenario {
    /// Returns each policy file that steps and variants name, once, parsed as a test of its syntax.
    ///
    /// # Errors
    /// Each file that is missing or invalid, with the place of its name in `file`.
    pub fn policy_files(
        &self,
        file: &str,
        near: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, PolicyFile>, Invalid> {
        self.policy_files_among(file, near, &[])
    }

    /// As [`Scenario::policy_files`]; `names` are files next to the scenario, of which an error names the nearest.
    ///
    /// # Errors
    /// As there.
    pub fn policy_files_among(
        &self,
        file: &str,
        near: impl Fn(&str) -> Option<String>,
        names: &[String],
    ) -> Result<BTreeMap<String, PolicyFile>, Invalid> {
        let (mut files, mut problems) = (BTreeMap::new(), Vec::new());
        let of_variants = self.variants.iter().flat_map(|variant| &variant.policies);
        for name in of_variants.chain(self.steps.iter().flat_map(|step| &step.policies)) {
            let found =
                find_among(name, &near, names).and_then(|found| found.objects("default").map(|_| found));
            match found {
                Ok(found) => {
                    files.insert(name.value.clone(), found);
                }
                Err(problem) => problems.push(at(file, name, problem)),
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(Invalid { problems }) }
    }
}

/// A namespace that no object names itself, in place of `${namespace}`.
const OF_THE_RUN: &str = "namespace-of-the-run";

/// Returns the service of the run that an object of a policy configures by its name, if it is of such a kind.
fn service_of(object: &Value) -> Option<&str> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str()?;
    match object["kind"].as_str()? {
        "Service" => {
            metadata["namespace"].as_str().is_none_or(|namespace| namespace == OF_THE_RUN).then_some(name)
        }
        "ServiceProfile" => {
            let (service, rest) = name.split_once('.')?;
            (rest.split('.').next() == Some(OF_THE_RUN)).then_some(service)
        }
        _ => None,
    }
}

impl Scenario {
    /// Checks that the services which policies of `files` configure by their names are among `services`.
    ///
    /// # Errors
    /// Each policy with a service that is not there, with the place of its name in `file` and the nearest service.
    pub fn check_policies(
        &self,
        file: &str,
        files: &BTreeMap<String, PolicyFile>,
        services: &[&str],
    ) -> Result<(), Invalid> {
        let mut problems = Vec::new();
        let of_variants = self.variants.iter().flat_map(|variant| &variant.policies);
        for name in of_variants.chain(self.steps.iter().flat_map(|step| &step.policies)) {
            let Some(found) = files.get(&name.value) else { continue };
            for object in found.objects(OF_THE_RUN)? {
                if let Some(service) = service_of(&object).filter(|service| !services.contains(service)) {
                    let text = format!("unknown service `{service}`");
                    let hint = instead_of(service, services.iter().copied());
                    problems.push(at(file, name, Problem { text, hint, ..Problem::default() }));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Invalid { problems }) }
    }
}

/// Puts the place in the scenario in front of a problem of a policy file.
fn at(file: &str, name: &At<String>, problem: Problem) -> Problem {
    let text = format!("policy `{}`: {}", name.value, problem.text);
    Problem { file: file.to_owned(), line: Some(name.line), column: Some(name.column), text, ..problem }
}

/// Returns a reader of files next to a shipped scenario, for [`find`].
pub fn near_shipped(scenario: &shipped::Shipped) -> impl Fn(&str) -> Option<String> {
    let folder = Path::new(scenario.path).parent().unwrap_or_else(|| Path::new("")).to_owned();
    move |name| shipped::file(&folder.join(name)).map(str::to_owned)
}
