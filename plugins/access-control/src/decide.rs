//! The decision. Pure: method, path and facts come in.
//!
//! Invariant: what is not known is not allowed. A place that asks for something lets nobody pass of whom that is not known. A path that can be
//! read in two ways passes only where it would in both.

use std::collections::BTreeMap;

use portcullis_sdk::pattern::{self, Pattern};
use portcullis_sdk::{Error, Path, Result, list};

use crate::config::{Allow, Config, Otherwise, PlaceConfig};

/// Who may do what.
#[derive(Debug)]
pub(crate) struct Policy {
    places: Vec<Place>,
    otherwise: Otherwise,
    roles: BTreeMap<String, Vec<Pattern>>,
    roles_attribute: String,
}

#[derive(Debug)]
struct Place {
    paths: Vec<Pattern>,
    methods: Vec<String>,
    allow: Option<Allow>,
    roles: Vec<String>,
    permissions: Vec<String>,
    subjects: Vec<String>,
    attributes: BTreeMap<String, Vec<String>>,
}

/// What becomes of a request; the strictest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decided {
    Allowed,
    /// Who it is must be known first.
    Unknown,
    Denied,
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let roles: BTreeMap<_, _> =
            config.roles.iter().map(|(role, permissions)| (role.clone(), pattern::all(permissions))).collect();
        let mut places = Vec::new();
        for (index, place) in config.places.iter().enumerate() {
            let wrong = |what: String| Err(Error::new(format_args!("`places[{index}]`: {what}")));
            let asks = !place.roles.is_empty()
                || !place.permissions.is_empty()
                || !place.subjects.is_empty()
                || !place.attributes.is_empty();
            if place.allow.is_some() == asks {
                let remedy = "write `allow`, or what is asked for: `roles`, `permissions`, `subjects`, `attributes`";
                return wrong(format!("it must say either who passes or what is asked for; {remedy}"));
            }
            let given = |wanted: &&String| roles.values().flatten().any(|known| known.matches(wanted));
            if let Some(nobodys) = place.permissions.iter().find(|wanted| !given(wanted)) {
                return wrong(format!("no role gives the permission {nobodys:?}; add it to one in `roles`"));
            }
            places.push(compiled(place));
        }
        Ok(Self { places, otherwise: config.otherwise, roles, roles_attribute: config.roles_attribute.clone() })
    }

    /// Decides about a request of `subject`. `attribute` looks up what else is known.
    pub(crate) fn decide(
        &self,
        method: &str,
        path: &Path,
        subject: Option<&str>,
        attribute: &dyn Fn(&str) -> Option<String>,
    ) -> Decided {
        let decided = path.readings().map(|reading| self.decide_reading(method, reading, subject, attribute));
        decided.max().unwrap_or(Decided::Denied)
    }

    fn decide_reading(
        &self,
        method: &str,
        path: &str,
        subject: Option<&str>,
        attribute: &dyn Fn(&str) -> Option<String>,
    ) -> Decided {
        let Some(place) = self.places.iter().find(|place| place.is_at(method, path)) else {
            return match (self.otherwise, subject) {
                (Otherwise::Allow, _) => Decided::Allowed,
                (Otherwise::Deny, Some(_)) => Decided::Denied,
                (Otherwise::Deny, None) => Decided::Unknown,
            };
        };
        match (place.allow, subject) {
            (Some(Allow::Anyone), _) | (Some(Allow::Authenticated), Some(_)) => Decided::Allowed,
            (Some(Allow::Nobody), _) => Decided::Denied,
            (_, None) => Decided::Unknown,
            (None, Some(subject)) if self.has_all(place, subject, attribute) => Decided::Allowed,
            _ => Decided::Denied,
        }
    }

    fn has_all(&self, place: &Place, subject: &str, attribute: &dyn Fn(&str) -> Option<String>) -> bool {
        let has = attribute(&self.roles_attribute).unwrap_or_default();
        let roles = || list::parts(&has);
        let gives = |role: &str, wanted: &str| {
            self.roles.get(role).is_some_and(|given| given.iter().any(|known| known.matches(wanted)))
        };
        let role = place.roles.is_empty() || roles().any(|role| place.roles.iter().any(|wanted| *wanted == role));
        let permission = place.permissions.is_empty()
            || place.permissions.iter().any(|wanted| roles().any(|role| gives(&role, wanted)));
        let who = place.subjects.is_empty() || place.subjects.iter().any(|known| known == subject);
        let facts = || {
            let mut facts = place.attributes.iter();
            facts.all(|(name, values)| attribute(name).is_some_and(|value| values.contains(&value)))
        };
        role && permission && who && facts()
    }
}

fn compiled(place: &PlaceConfig) -> Place {
    Place {
        paths: pattern::of_paths(&place.paths),
        methods: place.methods.clone(),
        allow: place.allow,
        roles: place.roles.clone(),
        permissions: place.permissions.clone(),
        subjects: place.subjects.clone(),
        attributes: place.attributes.clone(),
    }
}

impl Place {
    fn is_at(&self, method: &str, path: &str) -> bool {
        // As for routes: whoever may GET a thing may ask for its head, and nobody else.
        let is = |known: &String| known == method || (method == "HEAD" && known == "GET");
        let by_method = self.methods.is_empty() || self.methods.iter().any(is);
        by_method && (self.paths.is_empty() || pattern::any(&self.paths, path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use portcullis_sdk::serde_json::{self, Value, json};

    use super::*;

    fn policy(config: Value) -> Result<Policy> {
        Policy::new(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn the_first_place_decides_and_asks_for_all_it_says() {
        let policy = policy(json!({
            "roles": { "editor": ["articles:read", "articles:write"], "admin": ["*"], "reader": ["articles:r*"] },
            "places": [
                { "paths": ["/articles/*"], "methods": ["GET"], "allow": "anyone" },
                { "paths": ["/articles/*"], "permissions": ["articles:write"] },
                { "paths": ["/account"], "allow": "authenticated" },
                { "paths": ["/closed"], "allow": "nobody" },
                { "paths": ["/reports/*"], "attributes": { "auth.tenant": ["acme", "initech"] }, "roles": ["auditor", "admin"] },
                { "paths": ["/mine"], "subjects": ["alice"] }
            ]
        }))
        .unwrap();
        let check = |request: (&str, &str), subject: Option<&str>, roles: &str, tenant: Option<&str>, expected| {
            let attribute = |name: &str| match name {
                "auth.roles" => Some(roles.to_owned()),
                "auth.tenant" => tenant.map(str::to_owned),
                _ => None,
            };
            let decided = policy.decide(request.0, &Path::new(request.1.to_owned()), subject, &attribute);
            assert_eq!(decided, expected, "{request:?} {subject:?} {roles} {tenant:?}");
        };
        use Decided::{Allowed, Denied, Unknown};
        check(("GET", "/articles/1"), None, "", None, Allowed);
        check(("PUT", "/articles/1"), None, "", None, Unknown);
        check(("PUT", "/articles/1"), Some("a"), "editor", None, Allowed);
        check(("PUT", "/articles/1"), Some("a"), "x,admin", None, Allowed);
        check(("PUT", "/articles/1"), Some("a"), "reader", None, Denied);
        check(("PUT", "/articles/1"), Some("a"), "", None, Denied);
        check(("PUT", "/articles/1"), None, "admin", None, Unknown);
        check(("GET", "/account"), Some("a"), "", None, Allowed);
        check(("GET", "/account"), None, "", None, Unknown);
        check(("GET", "/closed"), Some("a"), "admin", None, Denied);
        check(("GET", "/reports/1"), Some("a"), "auditor", Some("acme"), Allowed);
        check(("GET", "/reports/1"), Some("a"), "auditor", Some("acme corp"), Denied);
        check(("GET", "/reports/1"), Some("a"), "auditor", None, Denied);
        check(("GET", "/reports/1"), Some("a"), "editor", Some("acme"), Denied);
        check(("GET", "/mine"), Some("alice"), "", None, Allowed);
        check(("GET", "/mine"), Some("bob"), "admin", None, Denied);
        check(("GET", "/elsewhere"), Some("a"), "admin", None, Denied);
        check(("GET", "/elsewhere"), None, "", None, Unknown);
    }

    #[test]
    fn a_path_is_the_same_however_it_is_spelled() {
        let policy = policy(json!({ "places": [
            { "paths": ["/admin/*", "/caf%C3%A9"], "roles": ["admin"] },
            { "paths": ["/secret"], "methods": ["GET"], "allow": "nobody" },
            { "paths": ["/*"], "allow": "anyone" }
        ] }))
        .unwrap();
        let decide = |method: &str, path: &str| policy.decide(method, &Path::new(path.to_owned()), None, &|_| None);
        for path in [
            "/admin/users",
            "/%61dmin/users",
            "//admin//users",
            "/admin%2Fusers",
            "/admin%2fusers",
            "/public/..%2Fadmin%2Fusers",
            "/%2Fadmin/users",
            "/caf%c3%a9",
        ] {
            assert_eq!(decide("GET", path), Decided::Unknown, "{path}");
        }
        for path in ["/public/a%2Fb", "/administration", "/%2561dmin/users", "/Admin/users"] {
            assert_eq!(decide("GET", path), Decided::Allowed, "{path}");
        }
        assert_eq!([decide("GET", "/secret"), decide("HEAD", "/secret")], [Decided::Denied; 2]);
    }

    #[test]
    fn a_role_is_what_it_is_called_and_nothing_in_it() {
        let policy = policy(json!({ "places": [
            { "paths": ["/admin"], "roles": ["admin"] }, { "paths": ["/team"], "roles": ["Team admin"] }
        ] }))
        .unwrap();
        let decide = |path: &str, roles: &str| {
            policy.decide("GET", &Path::new(path.to_owned()), Some("a"), &|_| Some(roles.to_owned()))
        };
        let one = list::joined(["Team admin", "x,admin", "100%"]);
        assert_eq!([decide("/admin", &one), decide("/team", &one)], [Decided::Denied, Decided::Allowed]);
        assert_eq!(decide("/admin", "Team admin"), Decided::Allowed);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let why = |places: Value| policy(json!({ "places": places })).unwrap_err().message().to_owned();
        assert!(why(json!([{ "paths": ["/a"] }])).contains("`places[0]`: it must say either"));
        assert!(why(json!([{ "allow": "anyone", "roles": ["a"] }])).contains("either"));
        assert!(why(json!([{ "permissions": ["p"] }])).contains("no role gives the permission \"p\""));
    }
}
