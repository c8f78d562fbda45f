//! `portcullis routes explain`: which route a request gets, and why the others do not.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Files, print};
use crate::config::{Config, Route};
use crate::exchange::Scheme;
use crate::http::{ambiguity, merged_slashes};
use crate::pipeline::{Handler, Proxy, Subject, rewritten};
use crate::router::{Asked, Routed, Router, misses};

#[derive(Debug, Subcommand)]
pub(super) enum RoutesCommand {
    /// Say which route a request gets, why, and why the others do not.
    Explain {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        request: Request,
    },
    /// List the routes.
    List {
        #[command(flatten)]
        files: Files,
    },
}

/// The request that is explained.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// The method.
    method: Method,
    /// The URL, with scheme and host.
    url: Uri,
    /// A field, as in `x-version: 2`; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The client's address.
    #[arg(long, default_value = "127.0.0.1")]
    client: std::net::IpAddr,
}

pub(super) fn routes(command: RoutesCommand) -> anyhow::Result<()> {
    match command {
        RoutesCommand::Explain { files, request } => explain(&config(files)?, &request),
        RoutesCommand::List { files } => {
            let config = config(files)?;
            let line = |route: &Route| {
                let name = route.matches.name.as_str();
                format!("{name:<20} {} -> {}\n", route.matches, does(&config, &route.handler))
            };
            print(&config.routes.iter().map(line).collect::<String>())
        }
    }
}

fn config(files: Files) -> anyhow::Result<Config> {
    let (config, problems) = files.source(None, None).examine();
    match (config, problems) {
        (Some(config), None) => Ok(config),
        (_, Some(problems)) => anyhow::bail!("{problems}"),
        (None, None) => anyhow::bail!("the configuration cannot be read"),
    }
}

fn explain(config: &Config, request: &Request) -> anyhow::Result<()> {
    let headers = headers(&request.headers)?;
    let (scheme, host) = match (request.url.scheme_str(), request.url.authority()) {
        (Some("http"), Some(host)) => (Scheme::Http, host),
        (Some("https"), Some(host)) => (Scheme::Https, host),
        _ => anyhow::bail!(
            "{:?} has no scheme or no host; write one such as http://localhost/path",
            request.url.to_string()
        ),
    };
    let target = request.url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let path = merged_slashes(target.path());
    let asked = Asked {
        host: host.as_str(),
        path: &path,
        query: target.query(),
        method: &request.method,
        headers: &headers,
        scheme,
        client: request.client,
    };
    if let Some(why) = ambiguity(target.path()) {
        return print(&format!("{} {}\n-> 400: {why}\n", request.method, request.url));
    }
    let settings: Vec<_> = config.routes.iter().map(|route| route.matches.clone()).collect();
    let router = Router::new(&settings).map_err(|conflicts| anyhow::anyhow!("{conflicts:?}"))?;
    let mut text = format!("{} {}\n", request.method, request.url);
    let won = match router.find(&asked) {
        Routed::Found { route, parameters } => {
            if let Some(found) = config.routes.get(route) {
                let subject = Subject { target: &target, authority: host.as_str(), parameters: &parameters };
                tell(&mut text, config, found, &subject)?;
            }
            Some(route)
        }
        Routed::NotFound => {
            text.push_str("-> 404: no route matches host, path and conditions\n");
            None
        }
        Routed::MethodNotAllowed { allow } => {
            let _ = writeln!(text, "-> 405: routes match, but only for {allow}");
            None
        }
    };
    let mut others: Vec<_> = config.routes.iter().enumerate().filter(|(index, _)| Some(*index) != won).collect();
    // Those that came closest first.
    others.sort_by_key(|(_, route)| misses(&route.matches, &asked).len());
    for (_, route) in others {
        let (name, settings) = (route.matches.name.as_str(), &route.matches);
        let misses: Vec<String> = misses(settings, &asked).iter().map(ToString::to_string).collect();
        let _ = match misses.is_empty() {
            true => writeln!(text, "   {name:<20} matches too, but comes later: {settings}"),
            false => writeln!(text, "   {name:<20} no: {}", misses.join("; ")),
        };
    }
    print(&text)
}

/// What the route that won makes of the request.
fn tell(text: &mut String, config: &Config, route: &Route, subject: &Subject<'_>) -> anyhow::Result<()> {
    let settings = &route.matches;
    writeln!(text, "-> {}: {}", settings.name, does(config, &route.handler))?;
    writeln!(text, "   {settings}")?;
    for (name, value) in subject.parameters {
        writeln!(text, "   {{{name}}} = {value}")?;
    }
    if let Handler::Proxy(Proxy { rewrite: Some(rewrite), .. }) = &route.handler {
        match rewritten(rewrite, subject) {
            Ok(target) => writeln!(text, "   the upstream is asked for {target}")?,
            Err(failure) => writeln!(text, "   refused: {}", failure.detail)?,
        }
    }
    Ok(())
}

/// What a handler does, in a few words.
fn does(config: &Config, handler: &Handler) -> String {
    match handler {
        Handler::Proxy(proxy) => {
            let name = |index: usize| config.upstreams.get(index).map_or("?", |upstream| upstream.name.as_str());
            let shares: Vec<String> = match proxy.shares[..] {
                [only] => vec![name(only.upstream).to_owned()],
                _ => proxy.shares.iter().map(|share| format!("{} ({})", name(share.upstream), share.weight)).collect(),
            };
            format!("proxy to {}", shares.join(", "))
        }
        Handler::Files(files) => format!("files from {}", files.root.display()),
        Handler::Respond { status, .. } => format!("respond {}", status.as_u16()),
        Handler::Redirect { status, .. } => format!("redirect {}", status.as_u16()),
    }
}

fn headers(lines: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').with_context(|| format!("{line:?} is not NAME: VALUE"))?;
        let name = HeaderName::try_from(name.trim()).with_context(|| format!("{name:?} is not a header name"))?;
        let value = HeaderValue::try_from(value.trim()).with_context(|| format!("{line:?} has no header value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}
