//! Reads how responses are encoded.

use std::sync::Arc;

use super::super::file::{self, RouteCompression};
use super::super::problem::Report;
use super::files::coding;
use crate::http::{Coding, Levels};
use crate::pipeline::Compression;
use crate::plugin::schema::JsonPath;

/// Compiles `compression` of a route; what it leaves out is the gateway's, and what that leaves out has defaults.
pub(super) fn compile(
    gateway: Option<&file::Compression>,
    route: Option<&RouteCompression>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Arc<Compression>> {
    let nothing = file::Compression::default();
    let (own, gateway) = match route {
        None => (&nothing, gateway?),
        Some(RouteCompression::Switch(false)) => return None,
        Some(RouteCompression::Switch(true)) => (&nothing, gateway.unwrap_or(&nothing)),
        Some(RouteCompression::Like(own)) => (&**own, gateway.unwrap_or(&nothing)),
    };
    let levels = Levels::default();
    let codings = own.encodings.as_ref().or(gateway.encodings.as_ref());
    let all = || vec![Coding::Zstd, Coding::Brotli, Coding::Gzip];
    Some(Arc::new(Compression {
        codings: codings.map_or_else(all, |written| written.iter().flatten().map(coding).collect()),
        levels: Levels {
            gzip: own.gzip_level.or(gateway.gzip_level).unwrap_or(levels.gzip),
            brotli: own.br_level.or(gateway.br_level).unwrap_or(levels.brotli),
            zstd: own.zstd_level.or(gateway.zstd_level).unwrap_or(levels.zstd),
        },
        bytes_min: own.bytes_min.or(gateway.bytes_min).unwrap_or(file::Compression::BYTES_MIN),
        types: match (&own.types, &gateway.types) {
            (Some(own), _) => media_types(own, &at.key("types"), report),
            // Told by `check`, once for all routes.
            (None, Some(gateway)) => media_types(gateway, &at.key("types"), &mut Report::default()),
            (None, None) => file::Compression::TYPES.map(Box::from).to_vec(),
        },
    }))
}

/// Checks what the gateway says.
pub(super) fn check(gateway: Option<&file::Compression>, report: &mut Report) {
    if let Some(types) = gateway.and_then(|gateway| gateway.types.as_ref()) {
        media_types(types, &JsonPath::root().key("compression").key("types"), report);
    }
}

fn media_types(written: &[Option<String>], at: &JsonPath, report: &mut Report) -> Vec<Box<str>> {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let mut types = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let Some(text) = text else { continue };
        let sound = match (text.strip_prefix('+'), text.split_once('/')) {
            (Some(suffix), None) => token(suffix),
            (None, Some((kind, "*"))) => token(kind) && !kind.contains('*'),
            (None, Some((kind, name))) => token(kind) && token(name) && !text.contains('*'),
            _ => false,
        };
        match sound {
            true => types.push(text.to_ascii_lowercase().into()),
            false => {
                let what = format!("{text:?} is not a media type");
                report.add(&at.index(index), what, "write one such as \"text/html\", \"text/*\" or \"+json\"");
            }
        }
    }
    types
}
