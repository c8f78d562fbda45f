//! Which plugins join the chain with a change, where, and on which routes: what an operator should know before anything else.
//!
//! Pure.

use crate::config::{Route, RouteUnlisted};
use crate::generation::Generation;
use crate::names::Name;

/// Most routes that are named.
const ROUTES_MAX: usize = 5;

/// One sentence for each plugin that runs in `after` and not in `before`.
pub(super) fn joins(before: &Generation, after: &Generation) -> Vec<String> {
    let chain: Vec<&Name> = after.roster.plugins().map(|(name, _, _)| name).collect();
    let runs_already = |name: &Name| before.roster.plugins().any(|(known, _, _)| known == name);
    let joining = chain.iter().enumerate().filter(|(_, name)| !runs_already(name));
    let routes = &after.config.routes;
    let told = |(place, name): (usize, &&Name)| {
        let on: Vec<&str> =
            routes.iter().filter(|route| runs(after, route, name)).map(|route| route.matches.name.as_str()).collect();
        let on = reach(&on, routes.len());
        format!("plugin {name} joins the chain as number {} of {} and runs on {on}", place + 1, chain.len())
    };
    joining.map(told).collect()
}

fn runs(generation: &Generation, route: &Route, plugin: &Name) -> bool {
    let RouteUnlisted::Except(except) = &route.unlisted;
    let unlisted = generation.roster.unlisted().any(|loaded| loaded.name == *plugin);
    if unlisted { !except.contains(plugin) } else { route.chain.iter().any(|entry| entry.plugin == *plugin) }
}

/// The routes in words.
fn reach(on: &[&str], all: usize) -> String {
    match on.len() {
        0 => "no route".to_owned(),
        some if some == all => "all routes".to_owned(),
        1 => format!("route {}", on.join("")),
        some if some <= ROUTES_MAX => format!("the routes {}", on.join(", ")),
        some => {
            let named = on.get(..ROUTES_MAX).unwrap_or_default().join(", ");
            format!("{some} of {all} routes: {named} and {} more", some - ROUTES_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reach;

    #[test]
    fn routes_are_named_as_far_as_that_helps() {
        assert_eq!(reach(&[], 3), "no route");
        assert_eq!(reach(&["a"], 1), "all routes");
        assert_eq!(reach(&["a"], 3), "route a");
        assert_eq!(reach(&["a", "b"], 3), "the routes a, b");
        assert_eq!(reach(&["a", "b", "c", "d", "e", "f", "g"], 9), "7 of 9 routes: a, b, c, d, e and 2 more");
    }
}
