//! Rewrites the request in `pre-route` as its fields ask: `x-set-path`, `x-set-method`, `x-set-authority`.
//!
//! What is refused it names in the request field `x-rewrite-refused`.

use portcullis_sdk::prelude::*;

#[derive(Default)]
struct Rewrite;

fn asked(request: &Request, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(request.header_named(name)?.as_bytes()).into_owned())
}

#[portcullis_sdk::plugin(name = "rewrite")]
impl Plugin for Rewrite {
    fn pre_route(&self, request: &Request) -> Result<Verdict> {
        let mut refused = Vec::new();
        let mut try_one = |what: &'static str, outcome: Option<bool>| {
            if outcome == Some(false) {
                refused.push(what);
            }
        };
        try_one("path", asked(request, "x-set-path").map(|path| request.set_path_and_query(&path).is_ok()));
        try_one("method", asked(request, "x-set-method").map(|method| request.set_method(&method).is_ok()));
        try_one("authority", asked(request, "x-set-authority").map(|host| request.set_authority(&host).is_ok()));
        if !refused.is_empty() {
            request.set_header_named("x-rewrite-refused", refused.join(","))?;
        }
        Ok(Verdict::Next)
    }
}
