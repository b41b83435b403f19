//! Translates a profile's condition to the matches of an HTTPRoute.

use serde_json::{Value, json};

use super::{Kind, Migration, is_valid};
use crate::profile::{METHODS, RequestMatch, Route};

/// The most matches of one rule, from the CRD.
const MOST: usize = 64;

/// One match: a method and a path, both optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Alternative {
    pub(super) method: Option<String>,
    /// The expression of the profile.
    pub(super) path: Option<String>,
}

impl Alternative {
    pub(super) fn is_everything(&self) -> bool {
        self.method.is_none() && self.is_any_path()
    }

    pub(super) fn is_any_path(&self) -> bool {
        let body = |path: &str| matches!(path.trim().trim_matches(['^', '$']), ".*" | "/.*");
        self.path.as_deref().is_none_or(body)
    }

    /// The path, if the expression is one path.
    pub(super) fn literal(&self) -> Option<String> {
        let body = self.path.as_deref()?.trim();
        let body = body.strip_prefix('^').unwrap_or(body);
        let body = body.strip_suffix('$').unwrap_or(body);
        let plain = body.replace("\\.", ".").replace("\\-", "-").replace("\\/", "/");
        let special = |c: char| "\\.+*?()|[]{}^$".contains(c);
        let only_escaped = !body.replace("\\.", "").replace("\\-", "").replace("\\/", "").contains(special);
        (only_escaped && plain.starts_with('/')).then_some(plain)
    }

    /// The expression as the profile's proxy compiles it: anchored at both ends.
    pub(super) fn anchored(&self) -> String {
        let body = self.path.as_deref().unwrap_or_default().trim();
        let start = if body.starts_with('^') { "" } else { "^" };
        let end = if body.ends_with('$') { "" } else { "$" };
        format!("{start}{body}{end}")
    }

    pub(super) fn to_value(&self) -> Value {
        let path = match self.literal() {
            _ if self.is_any_path() => json!({"type": "PathPrefix", "value": "/"}),
            Some(path) => json!({"type": "Exact", "value": path}),
            None => json!({"type": "RegularExpression", "value": self.anchored()}),
        };
        let mut value = json!({"path": path});
        if let Some(method) = &self.method {
            value["method"] = method.as_str().into();
        }
        value
    }

    fn and(&self, other: &Self) -> Both {
        let part = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) if a != b => Err(()),
            (a, b) => Ok(a.clone().or_else(|| b.clone())),
        };
        match (part(&self.method, &other.method), part(&self.path, &other.path)) {
            (Ok(method), Ok(path)) => Both::One(Self { method, path }),
            // No request has two methods.
            (Err(()), _) => Both::Never,
            (_, Err(())) => Both::Unknown,
        }
    }
}

/// Two matches at the same time.
enum Both {
    One(Alternative),
    Never,
    Unknown,
}

/// Returns the matches of a route, and reports what they do not express. `None` if nothing remains of the route.
pub(super) fn alternatives(route: &Route, field: &str, found: &mut Migration) -> Option<Vec<Alternative>> {
    let field = format!("{field}.condition");
    let Some(mut all) = expand(&route.condition).filter(|all| all.len() <= MOST) else {
        let what = format!(
            "route `{}` is left out: an HTTPRoute has no `not`, no two expressions for one path, and at most {MOST} matches",
            route.name
        );
        found.differ(Kind::ConditionLost, field, what);
        return None;
    };
    // The proxy ignores a route with an invalid expression.
    if all.iter().filter_map(|one| one.path.as_deref()).any(|path| !is_valid(path)) {
        return None;
    }
    all.retain(|one| {
        let known = one.method.as_deref().is_none_or(|method| METHODS.contains(&method));
        if !known {
            let method = one.method.as_deref().unwrap_or_default();
            found.differ(Kind::MethodLost, field.as_str(), format!("an HTTPRoute has no method `{method}`"));
        }
        known
    });
    for path in all.iter().filter_map(|one| one.path.as_deref()).filter(|path| has_alternatives(path)) {
        let what = format!(
            "`{path}` is `^{path}$`: each end anchors one alternative only; an HTTPRoute compares whole paths"
        );
        found.differ(Kind::ExpressionAnchors, field.as_str(), what);
    }
    (!all.is_empty()).then_some(all)
}

/// Returns the matches of which one must hold; `None` if that cannot be expressed.
fn expand(condition: &RequestMatch) -> Option<Vec<Alternative>> {
    if condition.not.is_some() {
        return None;
    }
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut all = vec![Alternative { method: text(&condition.method), path: text(&condition.path_regex) }];
    for part in condition.all.iter().flatten() {
        all = cross(&all, &expand(part)?)?;
    }
    if let Some(parts) = &condition.any {
        let any: Vec<Vec<Alternative>> = parts.iter().map(expand).collect::<Option<_>>()?;
        all = cross(&all, &any.concat())?;
    }
    Some(all)
}

fn cross(left: &[Alternative], right: &[Alternative]) -> Option<Vec<Alternative>> {
    let mut all = Vec::new();
    for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
        match a.and(b) {
            Both::One(one) => all.push(one),
            Both::Never => {}
            Both::Unknown => return None,
        }
        // Far beyond what a rule can have: nested `any`s multiply.
        if all.len() > 16 * MOST {
            return None;
        }
    }
    Some(all)
}

/// Returns whether an expression has alternatives outside parentheses.
fn has_alternatives(text: &str) -> bool {
    let (mut depth, mut class, mut escaped) = (0_u32, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}
