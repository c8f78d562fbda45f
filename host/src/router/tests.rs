//! Precedence by example, and against a matcher that is too simple to be wrong.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::exchange::Scheme;

fn route(index: usize, host: &str, path: &str, methods: &str) -> Settings {
    Settings {
        name: format!("r{index}").parse().unwrap(),
        priority: 0,
        host: host.parse().unwrap(),
        path: path.parse().unwrap(),
        path_regex: None,
        conditions: Conditions::default(),
        methods: methods.split_whitespace().map(|method| method.parse().unwrap()).collect(),
    }
}

/// Each route as `host path methods…`.
fn routes(lines: &[&str]) -> Vec<Settings> {
    let parse = |(index, line): (usize, &&str)| {
        let mut words = line.splitn(3, ' ');
        route(index, words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""))
    };
    lines.iter().enumerate().map(parse).collect()
}

fn router(lines: &[&str]) -> Router {
    Router::new(&routes(lines)).unwrap()
}

/// A request in cleartext from this machine.
fn asked<'a>(method: &'a Method, host: &'a str, path: &'a str) -> Asked<'a> {
    static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
    let client = std::net::Ipv4Addr::LOCALHOST.into();
    Asked { host, path, query: None, method, headers: &NONE, scheme: Scheme::Http, client }
}

/// `r0 name=value …`, `404`, or `405 methods`.
fn find(router: &Router, request: &str) -> String {
    let [method, host, path] = request.split(' ').collect::<Vec<_>>().try_into().unwrap();
    told(router.find(&asked(&method.parse().unwrap(), host, path)))
}

fn told(routed: Routed) -> String {
    match routed {
        Routed::Found { route, parameters } => {
            parameters.iter().fold(format!("r{route}"), |text, (name, value)| format!("{text} {name}={value}"))
        }
        Routed::NotFound => "404".to_owned(),
        Routed::MethodNotAllowed { allow } => format!("405 {allow}"),
    }
}

#[test]
fn a_more_specific_host_comes_first() {
    let router = router(&["* /*", "*.example.com /*", "*.b.example.com /*", "a.b.example.com /x", "[::1] /*"]);
    let check = |host: &str, path: &str, expected: &str| {
        assert_eq!(find(&router, &format!("GET {host} {path}")), expected, "{host} {path}");
    };
    check("other.org", "/", "r0");
    check("", "/", "r0");
    check("example.com", "/", "r0");
    check("w.example.com", "/", "r1");
    check("W.Example.COM:8080", "/", "r1");
    check("w.example.com.", "/", "r1");
    check(".example.com", "/", "r0");
    check("x.y.b.example.com", "/", "r2");
    check("a.b.example.com", "/x", "r3");
    check("A.B.example.com:443", "/x", "r3");
    check("a.b.example.com", "/y", "r2");
    check("[::1]:8080", "/", "r4");
    check("[::1]", "/", "r4");
}

#[test]
fn a_more_specific_path_comes_first() {
    let lines = ["* /*", "* /a/*", "* /a/{x}", "* /a/b", "* /a/b/*", "* /{x}/b", "* /", "* /a/", "* /{x}/{y}/c/*"];
    let router = router(&lines);
    let check = |path: &str, expected: &str| assert_eq!(find(&router, &format!("GET h {path}")), expected, "{path}");
    check("/", "r6");
    check("/z", "r0");
    check("/z/", "r0");
    check("/a", "r1");
    check("/a/", "r7");
    check("/a/b", "r3");
    check("/a/z", "r2 x=z");
    check("/a/b/", "r4");
    check("/a/b/c", "r8 x=a y=b");
    check("/z/b", "r5 x=z");
    check("/z/y/c/d/e", "r8 x=z y=y");
    check("/a//b", "r1");
    check("//b", "r0");
    check("*", "404");
    check("", "r0");
}

#[test]
fn methods_choose_among_routes_and_are_told_when_none_fits() {
    let router =
        router(&["* /x GET", "* /x POST PUT", "* /x/* DELETE", "* /y GET", "* /y HEAD", "* /y", "* /z GET", "* /z/*"]);
    let check = |request: &str, expected: &str| assert_eq!(find(&router, request), expected, "{request}");
    check("GET h /x", "r0");
    check("HEAD h /x", "r0");
    check("PUT h /x", "r1");
    check("DELETE h /x", "r2");
    check("PATCH h /x", "405 DELETE, GET, HEAD, POST, PUT");
    check("OPTIONS h /x/1", "405 DELETE");
    check("HEAD h /y", "r4");
    check("PURGE h /y", "r5");
    check("POST h /z", "r7");
    check("GET h /none", "404");
}

#[test]
fn encoded_paths_match_what_they_mean() {
    let router = router(&["* /a%20b/{x}", "* /ä", "* /%7Bx%7D", "* /a%2Fb"]);
    let check = |path: &str, expected: &str| assert_eq!(find(&router, &format!("GET h {path}")), expected, "{path}");
    check("/a%20b/c%2Fd", "r0 x=c/d");
    check("/%61%20b/%zz%ff", "r0 x=%zz%ff");
    check("/a%20b/", "404");
    check("/%C3%A4", "r1");
    check("/%c3%a4", "r1");
    check("/{x}", "r2");
    check("/a%2fb", "r3");
    check("/a/b", "404");
}

#[test]
fn the_rest_of_a_path_is_kept_as_it_came() {
    let router = router(&["* /files/{rest..}", "* /{a}/x/{rest..} GET"]);
    let check = |path: &str, expected: &str| assert_eq!(find(&router, &format!("GET h {path}")), expected, "{path}");
    check("/files", "r0 rest=");
    check("/files/", "r0 rest=");
    check("/files/a%2Fb/c", "r0 rest=a%2Fb/c");
    check("/f%20/x/1/2", "r1 a=f  rest=1/2");
}

#[test]
fn regular_expressions_stand_between_whole_paths_and_prefixes() {
    let mut all = routes(&["* /*", "* /*", "* /v1/users", "* /v1/*"]);
    all[1].path_regex = Some(Expression::new("/v(?<version>[0-9]+)/(?<what>[a-z%0-9A-Z]+)").unwrap());
    let router = Router::new(&all).unwrap();
    let check = |path: &str, expected: &str| assert_eq!(find(&router, &format!("GET h {path}")), expected, "{path}");
    check("/v1/users", "r2");
    check("/v12/users", "r1 version=12 what=users");
    check("/v1/%75sers", "r2");
    check("/v1/%75s", "r1 version=1 what=us");
    // What is encoded because it means something else stays so.
    check("/v1/a%2Fb", "r1 version=1 what=a/b");
    check("/v1/a/b", "r3");
    check("/xv1/a", "r0");
}

#[test]
fn conditions_choose_among_routes_for_the_same_path() {
    let mut all = routes(&["* /x", "* /x", "* /x", "* /x GET", "* /x", "* /y POST", "* /z"]);
    let is = |text: &str| Test::Exact(text.to_owned());
    all[0].conditions.headers = vec![("x-beta".parse().unwrap(), Test::Present)];
    all[1].conditions.query = vec![("v".to_owned(), is("2 a")), ("w".to_owned(), Test::Absent)];
    all[2].conditions.clients = vec!["10.0.0.0/8".parse().unwrap()];
    all[4].conditions.scheme = Some(Scheme::Https);
    all[5].conditions.headers = vec![("x-key".parse().unwrap(), Test::Matches(Expression::new("[a-f]+").unwrap()))];
    all[6].priority = 1;
    let router = Router::new(&all).unwrap();
    let check = |method: &str, target: &str, field: (&str, &str), client: &str, scheme: Scheme, expected: &str| {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let headers = HeaderMap::from_iter([(
            http::HeaderName::try_from(field.0).unwrap(),
            http::HeaderValue::try_from(field.1).unwrap(),
        )]);
        let method = method.parse().unwrap();
        let client = client.parse().unwrap();
        let asked = Asked { host: "h", path, query, method: &method, headers: &headers, scheme, client };
        assert_eq!(told(router.find(&asked)), expected, "{method} {target} {field:?}");
    };
    let (none, here, plain) = (("x", "y"), "127.0.0.1", Scheme::Http);
    check("GET", "/x", none, here, plain, "r3");
    check("GET", "/x", ("x-beta", ""), here, plain, "r0");
    // Two conditions before one, one before the other that comes later.
    check("GET", "/x?v=2+a", ("x-beta", ""), here, plain, "r1");
    check("GET", "/x?v=2%20a&w", ("x-beta", ""), here, plain, "r0");
    check("GET", "/x?v=1&v=2+a", none, here, plain, "r1");
    check("GET", "/x", none, "::ffff:10.1.2.3", plain, "r2");
    check("GET", "/x", ("x-beta", ""), "10.1.2.3", plain, "r0");
    check("GET", "/x", none, here, Scheme::Https, "r4");
    // What does not suit for another reason than its method is no reason for "method not allowed".
    check("POST", "/x", none, here, plain, "405 GET, HEAD");
    check("GET", "/y", ("x-key", "g"), here, plain, "404");
    check("GET", "/y", ("x-key", "abc"), here, plain, "405 POST");
    check("POST", "/y", ("x-key", "abc"), here, plain, "r5");
}

#[test]
fn priority_comes_before_everything() {
    let mut all = routes(&["a.b /x/y GET", "* /*"]);
    all[1].priority = 1;
    let router = Router::new(&all).unwrap();
    assert_eq!(find(&router, "GET a.b /x/y"), "r1");
    all[1].priority = -1;
    let router = Router::new(&all).unwrap();
    assert_eq!((find(&router, "GET a.b /x/y"), find(&router, "GET a.b /x")), ("r0".to_owned(), "r1".to_owned()));
}

#[test]
fn routes_that_could_never_be_chosen_are_refused() {
    let check = |lines: &[&str], expected: &[(&str, &str)]| {
        let conflicts = Router::new(&routes(lines)).map_or_else(|conflicts| conflicts, |_| Vec::new());
        let names: Vec<_> = conflicts.iter().map(|both| (both.first.as_str(), both.second.as_str())).collect();
        assert_eq!(names, expected);
    };
    check(&["* /{x}", "a /{x}", "* /{y}", "A /{y}"], &[("r0", "r2"), ("r1", "r3")]);
    check(&["* /x GET PUT", "* /x PUT", "* /x POST", "* /x"], &[("r0", "r1")]);
    check(&["* /x", "* /x/", "* /x/*"], &[]);
}

#[test]
fn patterns_say_what_is_wrong() {
    let host = |text: &str| text.parse::<HostPattern>().unwrap_err();
    assert_eq!(host(""), HostPatternError::Empty);
    for text in ["a.*", "*a.com", "**.a", "*.*.a"] {
        assert_eq!(host(text), HostPatternError::Wildcard, "{text}");
    }
    assert_eq!((host("a:80"), host("[::1]:80")), (HostPatternError::Port, HostPatternError::Port));
    assert_eq!((host("http://a"), host("a/b")), (HostPatternError::Url, HostPatternError::Url));
    assert_eq!(host("bücher.example"), HostPatternError::NotAscii);
    for text in ["a..b", ".a", "a.", "a b", "[::g]", "[::1", "::1", &"a".repeat(64)] {
        assert_eq!(host(text), HostPatternError::Name, "{text}");
    }
    let path = |text: &str| text.parse::<PathPattern>().unwrap_err();
    assert_eq!((path(""), path("a")), (PathPatternError::NotAbsolute, PathPatternError::NotAbsolute));
    assert_eq!((path("/a?b"), path("/a#b")), (PathPatternError::Query, PathPatternError::Query));
    assert_eq!((path("/*/a"), path("/a*")), (PathPatternError::Wildcard, PathPatternError::Wildcard));
    assert_eq!((path("/a{b}"), path("/{b")), (PathPatternError::Brace, PathPatternError::Brace));
    assert_eq!(path("/{}"), PathPatternError::ParameterName(String::new()));
    assert_eq!(path("/{a b}"), PathPatternError::ParameterName("a b".to_owned()));
    assert_eq!(path("/{a}/{a}"), PathPatternError::ParameterTwice("a".to_owned()));
    assert_eq!((path("//"), path("/a//*")), (PathPatternError::EmptyPart, PathPatternError::EmptyPart));
    assert_eq!((path("/a/../b"), path("/%2e")), (PathPatternError::DotPart, PathPatternError::DotPart));
    assert_eq!((path("/%2"), path("/%ff")), (PathPatternError::Percent, PathPatternError::Percent));
    assert!(path("/a{b}").to_string().contains("`/users/{id}`"));
}

/// What a segment list means, without any cleverness.
fn naive_matches(route: &Settings, host: &str, path: &str) -> bool {
    let host_fits = match &route.host {
        HostPattern::Any => true,
        HostPattern::Exact(name) => host == name,
        HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
    };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let segments = &route.path.segments;
    let long_enough = match route.path.tail {
        Tail::End => parts.len() == segments.len(),
        Tail::Anything | Tail::Rest(_) => parts.len() >= segments.len(),
    };
    host_fits
        && long_enough
        && segments.iter().zip(&parts).all(|(segment, part)| match segment {
            Segment::Literal(text) => text == part,
            Segment::Parameter(_) => !part.is_empty(),
        })
}

/// Smaller comes first.
fn naive_rank(route: &Settings) -> impl Ord {
    let host = match &route.host {
        HostPattern::Exact(_) => (0, 0),
        HostPattern::Suffix(suffix) => (1, -(suffix.len() as i32)),
        HostPattern::Any => (2, 0),
    };
    let tail = match route.path.tail {
        Tail::End => (0, 0),
        Tail::Anything | Tail::Rest(_) => (1, -(route.path.segments.len() as i32)),
    };
    let kinds: Vec<_> = route.path.segments.iter().map(|segment| matches!(segment, Segment::Parameter(_))).collect();
    (host, tail, kinds, route.methods.is_empty())
}

fn naive_find(routes: &[Settings], host: &str, path: &str, method: &Method) -> Option<usize> {
    let fits = |route: &Settings| {
        naive_matches(route, host, path) && (route.methods.is_empty() || route.methods.contains(method))
    };
    let mut fitting: Vec<usize> = (0..routes.len()).filter(|index| fits(&routes[*index])).collect();
    fitting.sort_by_key(|index| naive_rank(&routes[*index]));
    fitting.first().copied()
}

proptest! {
    #[test]
    fn the_router_chooses_what_a_naive_matcher_chooses(
        lines in prop::collection::vec(
            ("(\\*|a\\.b|\\*\\.b|\\*\\.a\\.b|c)", "(/(a|b|\\{p\\}|\\{q\\})){0,3}(/|/\\*|/a|/\\{r\\.\\.\\})", "(|GET|POST|GET POST)"), 1..12),
        requests in prop::collection::vec(("(a\\.b|b|x\\.b|x\\.a\\.b|c|d)", "(/(a|b|c)?){0,5}", "(GET|POST|PUT)"), 1..20),
    ) {
        let mut routes: Vec<Settings> = Vec::new();
        for (host, path, methods) in lines {
            let Ok(path) = path.parse::<PathPattern>() else { continue };
            let candidate = Settings { path, ..route(routes.len(), &host, "/", &methods) };
            routes.push(candidate);
            if Router::new(&routes).is_err() {
                routes.pop();
            }
        }
        let router = Router::new(&routes).unwrap();
        for (host, path, method) in requests {
            let method: Method = method.parse().unwrap();
            let found = match router.find(&asked(&method, &host, &path)) {
                Routed::Found { route, .. } => Some(route),
                Routed::NotFound => {
                    prop_assert!(!routes.iter().any(|route| naive_matches(route, &host, &path)));
                    None
                }
                Routed::MethodNotAllowed { .. } => {
                    prop_assert!(routes.iter().any(|route| naive_matches(route, &host, &path)));
                    None
                }
            };
            for route in &routes {
                let explained = misses(route, &asked(&method, &host, &path));
                let takes = route.methods.is_empty() || route.methods.contains(&method);
                prop_assert_eq!(explained.is_empty(), takes && naive_matches(route, &host, &path), "{:?}", explained);
            }
            prop_assert_eq!(found, naive_find(&routes, &host, &path, &method), "{} {} {}", method, host, path);
        }
    }

    #[test]
    fn nothing_a_client_sends_is_too_strange(host in "\\PC{0,20}", path in "\\PC{0,40}") {
        let router = router(&["* /{a}/*", "*.b /%41", "a.b /a/{x}"]);
        router.find(&asked(&Method::GET, &host, &path));
        router.find(&asked(&Method::GET, &host, &format!("/{path}")));
    }

    #[test]
    fn a_pattern_is_read_as_it_is_written(host in "[a-z*.:]{0,8}", path in "(/([ab%*{}?é.]|%41|%2[0Ff]|\\{x\\}){0,4}){0,4}/?\\*?") {
        if let Ok(pattern) = host.parse::<HostPattern>() {
            prop_assert_eq!(pattern.to_string().parse::<HostPattern>().unwrap(), pattern);
        }
        if let Ok(pattern) = path.parse::<PathPattern>() {
            prop_assert_eq!(pattern.to_string().parse::<PathPattern>().unwrap(), pattern);
        }
    }
}
