//! Replaces the gateway's error responses by a page that tells what it was told.

use portcullis_sdk::prelude::*;

#[derive(Default)]
struct Page;

#[portcullis_sdk::plugin(name = "error-page")]
impl Plugin for Page {
    fn on_error(&self, request: &Request, failure: &Failure) -> Result<Verdict> {
        let page = format!(
            "status={} reason={} fault={:?} path={} detail={}",
            failure.status,
            failure.reason,
            failure.fault,
            request.path(),
            failure.detail
        );
        Ok(Response::text(failure.status, &page).with_header("x-error-page", "yes").into())
    }
}
