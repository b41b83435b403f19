//! Finds the first route that matches, in a time that hardly grows with the number of routes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use http::Method;
use regex::{RegexSet, RegexSetBuilder, SetMatches};

use crate::profile::{RequestMatch, Route};

/// Up to this many expressions one after the other is as fast as all at once.
const FEW: usize = 4;
/// So many answers are remembered, each in the place its hash says.
const PLACES: usize = 64;
/// Longer paths are not remembered, so that callers cannot fill the memory.
const LONGEST: usize = 256;

/// The routes of a profile with all their path expressions in one automaton.
pub(crate) struct RouteIndex {
    conditions: Vec<Condition>,
    many: Option<Many>,
}

/// All expressions at once, and what was asked last.
struct Many {
    paths: RegexSet,
    recent: [Mutex<Option<Box<Answer>>>; PLACES],
    hasher: RandomState,
}

/// A method and a path always find the same route.
struct Answer {
    method: Method,
    path: Box<str>,
    place: Option<usize>,
}

/// A condition whose path expressions are places in the automaton.
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Method(Method),
    Path(usize),
}

impl RouteIndex {
    pub(crate) fn new(routes: &[Arc<Route>]) -> Self {
        let mut patterns = Vec::new();
        let conditions = routes.iter().map(|route| Condition::new(&route.condition, &mut patterns)).collect();
        let many = patterns.len() > FEW;
        // Too large a set is possible; the routes are then tried one by one.
        let paths = many.then(|| RegexSetBuilder::new(&patterns).build().ok()).flatten();
        let many = paths.map(|paths| Many {
            paths,
            recent: [const { Mutex::new(None) }; PLACES],
            hasher: RandomState::new(),
        });
        Self { conditions, many }
    }

    /// The place of the first route that matches.
    pub(crate) fn find(&self, routes: &[Arc<Route>], method: &Method, path: &str) -> Option<usize> {
        match &self.many {
            Some(many) => many.find(&self.conditions, method, path),
            None => routes.iter().position(|route| route.condition.matches(method, path)),
        }
    }
}

impl Many {
    fn find(&self, conditions: &[Condition], method: &Method, path: &str) -> Option<usize> {
        let asked = || {
            let matched = self.paths.matches(path);
            conditions.iter().position(|condition| condition.matches(method, &matched))
        };
        if path.len() > LONGEST {
            return asked();
        }
        let hash = self.hasher.hash_one((method, path)) as usize;
        let mut recent = self.recent[hash % PLACES].lock().expect("routes lock");
        match &*recent {
            Some(answer) if answer.method == *method && *answer.path == *path => answer.place,
            _ => {
                let place = asked();
                *recent = Some(Box::new(Answer { method: method.clone(), path: path.into(), place }));
                place
            }
        }
    }
}

impl Condition {
    fn new(condition: &RequestMatch, patterns: &mut Vec<String>) -> Self {
        let mut each = |list: &[RequestMatch]| list.iter().map(|one| Self::new(one, patterns)).collect();
        match condition {
            RequestMatch::All(all) => Self::All(each(all)),
            RequestMatch::Any(any) => Self::Any(each(any)),
            RequestMatch::Not(not) => Self::Not(Box::new(Self::new(not, patterns))),
            RequestMatch::Method(method) => Self::Method(method.clone()),
            RequestMatch::Path(path) => {
                patterns.push(path.as_str().to_owned());
                Self::Path(patterns.len() - 1)
            }
        }
    }

    fn matches(&self, method: &Method, paths: &SetMatches) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(method, paths)),
            Self::Any(any) => any.iter().any(|one| one.matches(method, paths)),
            Self::Not(not) => !not.matches(method, paths),
            Self::Method(wanted) => wanted == method,
            Self::Path(place) => paths.matched(*place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::PathRegex;

    fn route(condition: RequestMatch) -> Arc<Route> {
        Arc::new(Route { condition, ..Route::fallback() })
    }

    fn path(text: &str) -> RequestMatch {
        RequestMatch::Path(PathRegex::new(text).unwrap())
    }

    #[test]
    fn all_at_once_finds_what_one_by_one_finds() {
        let mut routes = vec![
            route(RequestMatch::All(vec![path("/a.*"), RequestMatch::Method(Method::POST)])),
            route(RequestMatch::Any(vec![path("/b"), path("/c/[0-9]+")])),
            route(RequestMatch::Not(Box::new(path("/.*[a-z]")))),
        ];
        routes.extend((0..20).map(|n| route(path(&format!("/item/{n}")))));
        let index = RouteIndex::new(&routes);
        assert!(index.many.is_some());
        for method in [Method::GET, Method::POST] {
            for path in ["/", "/a", "/abc", "/b", "/bb", "/c/12", "/c/x", "/item/7", "/item/77", "/item/x"] {
                let slow = routes.iter().position(|route| route.condition.matches(&method, path));
                assert_eq!(index.find(&routes, &method, path), slow, "{method} {path}");
                assert_eq!(index.find(&routes, &method, path), slow, "{method} {path} once more");
            }
        }
    }

    #[test]
    fn the_expression_is_anchored_and_trimmed() {
        let matches = |text, path| {
            PathRegex::new(text).map(|regex| RequestMatch::Path(regex).matches(&Method::GET, path))
        };
        assert!(matches(" /a/[^/]* ", "/a/b").unwrap());
        assert!(!matches("/a", "/a/b").unwrap());
        assert!(!matches("/a", "/b/a").unwrap());
        assert!(matches("^/a$", "/a").unwrap());
        assert!(matches("(", "/a").is_err());
    }
}
