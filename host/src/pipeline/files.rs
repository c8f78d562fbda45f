//! Routes that answer with files: each has its folder, held open by every worker on its own.

use super::Pipeline;
use super::plan::Plan;
use super::settings::Handler;
use super::walk::Walk;
use crate::exchange::{Failure, Reason, Response};
use crate::files::Files;
use crate::time;

/// The folders of a plan, with the indices of its routes.
pub(super) fn of(plan: &Plan) -> Vec<Option<Files>> {
    let files = |handler: &Handler| match handler {
        Handler::Files(settings) => Some(Files::new(settings.clone())),
        _ => None,
    };
    plan.routes.iter().map(|route| files(&route.handler)).collect()
}

impl Pipeline {
    /// Answers from the folder of the route. What the request's body says is of no interest.
    pub(super) fn answer_with_file(&self, walk: &Walk<'_>) -> Result<Response, Failure> {
        let files = walk.route.and_then(|route| self.files.get(route)?.as_ref());
        let files = files.ok_or_else(|| Failure::new(Reason::Internal, "the route has no folder"))?;
        files.answer(&walk.exchange.request, time::now(), time::unix())
    }
}
