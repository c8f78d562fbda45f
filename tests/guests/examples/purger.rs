//! Purges what the request names in `x-purge-tag`, and says in `x-purged` what came of it.
//!
//! Other targets: `x-purge: kind text`, with `key`, `url`, `pattern`, `version` or `all`. `x-purge-soft` marks stale instead.

use portcullis_sdk::cache::{self, PurgeMode, PurgeTarget};
use portcullis_sdk::prelude::*;

#[derive(Default)]
struct Purger;

fn target(request: &Request) -> Result<Option<PurgeTarget>> {
    if let Some(tag) = request.header_named("x-purge-tag") {
        return Ok(Some(PurgeTarget::Tag(tag.as_str()?.to_owned())));
    }
    let Some(wanted) = request.header_named("x-purge") else { return Ok(None) };
    let (kind, text) = wanted.as_str()?.split_once(' ').unwrap_or((wanted.as_str()?, ""));
    let text = text.to_owned();
    Ok(Some(match kind {
        "key" => PurgeTarget::Key(text),
        "url" => PurgeTarget::Url(text),
        "pattern" => PurgeTarget::Pattern(text),
        "version" => PurgeTarget::Version(text),
        "all" => PurgeTarget::All,
        other => return Err(format!("cannot purge by {other}").into()),
    }))
}

#[portcullis_sdk::plugin(name = "purger", grants = ["cache"])]
impl Plugin for Purger {
    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        if let Some(target) = target(request)? {
            let soft = request.header_named("x-purge-soft").is_some();
            let purged = cache::purge(&target, if soft { PurgeMode::Soft } else { PurgeMode::Hard });
            let said = purged.map_or_else(|error| error.message().to_owned(), |count| count.to_string());
            response.set_header_named("x-purged", said)?;
        }
        Ok(Verdict::Next)
    }
}
