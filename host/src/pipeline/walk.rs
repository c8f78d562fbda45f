//! One exchange's walk through the plugins: which are called at which hook, and what their answers and failures mean.

use std::rc::Rc;

use super::plan::Chain;
use super::{Pipeline, rescue};
use crate::exchange::{Failure, Held, Reason, Response};
use crate::names::Hook;
use crate::plugin::{AdmitVerdict, CallError, FailurePolicy, KeyVerdict, Lane, Summary, Verdict, Visit};

/// An exchange on its way, and the plugins that see it.
#[derive(Debug)]
pub(super) struct Walk<'p> {
    pub(super) exchange: Held,
    pub(super) visit: Visit,
    pub(super) lanes: &'p [Rc<Lane>],
    pub(super) chain: &'p Chain,
    /// The position of the route, once there is one.
    pub(super) route: Option<usize>,
    /// Plugins that failed in this exchange, by number. They are not asked again in it: what they would do now builds on what they
    /// did not do.
    pub(super) failed: Vec<u32>,
}

/// Whether the exchange goes on to the next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It does.
    Continue,
    /// A plugin has answered; the response is there.
    Answered,
}

/// What a lane's failure means under its policy.
fn policy(lane: &Lane, hook: Hook, error: &CallError) -> Result<(), Failure> {
    let loaded = lane.loaded();
    match loaded.entry.on_failure {
        FailurePolicy::Skip => Ok(()),
        FailurePolicy::Deny => {
            let reason = match error {
                CallError::Quarantined(_) => Reason::PluginQuarantined,
                CallError::NoRoom => Reason::Overload,
                _ => Reason::PluginFailed,
            };
            Err(Failure::new(reason, format!("plugin {} in {hook} {error}", loaded.name)))
        }
    }
}

impl<'p> Walk<'p> {
    /// The lanes that a hook calls, in order. Ask [`Self::is_out`] before each call: the list does not know what happens meanwhile.
    fn callers(&self, hook: Hook) -> impl Iterator<Item = &'p Rc<Lane>> + use<'p> {
        let lanes = self.lanes;
        self.chain.callers(hook).iter().filter_map(move |index| lanes.get(*index))
    }

    /// Whether the plugin has failed in this exchange.
    fn is_out(&self, lane: &Lane) -> bool {
        !self.failed.is_empty() && self.failed.contains(&lane.loaded().number)
    }

    /// Notes that a plugin failed, and what that means under its policy.
    fn failed(&mut self, lane: &Lane, hook: Hook, error: &CallError) -> Result<(), Failure> {
        self.failed.push(lane.loaded().number);
        policy(lane, hook, error)
    }

    /// `pre-route`: in chain order, until one answers.
    pub(super) fn pre_route(&mut self) -> Result<Flow, Failure> {
        for lane in self.callers(Hook::PreRoute) {
            match lane.pre_route(&mut self.exchange, &mut self.visit) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(response)) => return Ok(self.answered(lane, *response)),
                Err(error) => self.failed(lane, Hook::PreRoute, &error)?,
            }
        }
        Ok(Flow::Continue)
    }

    /// `pre-handler`: in chain order, until one answers.
    pub(super) async fn pre_handler(&mut self) -> Result<Flow, Failure> {
        for lane in self.callers(Hook::PreHandler) {
            if self.is_out(lane) {
                // Let through before by the gateway's policy; here the route's counts, and a guard that is out guards nothing.
                policy(lane, Hook::PreHandler, &CallError::Returned("it had failed before in this exchange".into()))?;
                continue;
            }
            match lane.pre_handler(&mut self.exchange, &mut self.visit).await {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(response)) => return Ok(self.answered(lane, *response)),
                Err(error) => self.failed(lane, Hook::PreHandler, &error)?,
            }
        }
        Ok(Flow::Continue)
    }

    fn answered(&mut self, lane: &Lane, response: Response) -> Flow {
        self.exchange.answered_by = Some(lane.loaded().number);
        self.exchange.response = Some(response);
        Flow::Answered
    }

    /// `cache-key`: the key after every plugin had its say; none to go around the cache. The first `fixed` bytes of it are the
    /// gateway's and stay.
    pub(super) fn cache_key(&mut self, mut key: String, fixed: usize) -> Result<Option<String>, Failure> {
        for lane in self.callers(Hook::CacheKey) {
            if self.is_out(lane) {
                // A key without this plugin's part could show one client's answer to another.
                return Ok(None);
            }
            match lane.cache_key(&mut self.exchange, &mut self.visit) {
                Ok(KeyVerdict::Next) => {}
                Ok(KeyVerdict::Extend(part)) => {
                    // A separator that no URL and no field value has, so that parts cannot be shifted into one another.
                    key.push('\0');
                    key.push_str(&part);
                }
                Ok(KeyVerdict::Replace(other)) => {
                    key.truncate(fixed);
                    key.push_str(&other);
                }
                Ok(KeyVerdict::Bypass) => return Ok(None),
                Err(error) => {
                    self.failed(lane, Hook::CacheKey, &error)?;
                    // A key without this plugin's part could show one client's answer to another.
                    return Ok(None);
                }
            }
        }
        Ok(Some(key))
    }

    /// `cache-admit`: the last verdict that is not `next`.
    pub(super) fn cache_admit(&mut self) -> AdmitVerdict {
        let mut verdict = AdmitVerdict::Next;
        for lane in self.callers(Hook::CacheAdmit) {
            if self.is_out(lane) {
                continue;
            }
            match lane.cache_admit(&mut self.exchange, &mut self.visit) {
                Ok(AdmitVerdict::Next) => {}
                Ok(decided) => verdict = decided,
                Err(error) => {
                    // Not stored, whatever the policy says: nobody is denied anything by that.
                    let _ = self.failed(lane, Hook::CacheAdmit, &error);
                    return AdmitVerdict::NoStore;
                }
            }
        }
        verdict
    }

    /// Turns a failure into a response: a plugin's (`on-error`) or the gateway's own.
    pub(super) fn rescue(&mut self, failure: &Failure) {
        rescue::log(failure, &self.exchange);
        self.exchange.failure.get_or_insert(failure.reason);
        for lane in self.callers(Hook::OnError) {
            if self.is_out(lane) {
                continue;
            }
            match lane.on_error(&mut self.exchange, &mut self.visit, failure) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(response)) => {
                    self.exchange.response = Some(*response);
                    return;
                }
                // The gateway's own response is there for this.
                Err(error) => drop(self.failed(lane, Hook::OnError, &error)),
            }
        }
        self.exchange.response = Some(rescue::response(failure, &self.exchange));
    }

    /// `post-handler`: in reverse chain order, on whatever response there is.
    pub(super) fn post_handler(&mut self) {
        for lane in self.callers(Hook::PostHandler) {
            if self.is_out(lane) {
                continue;
            }
            match lane.post_handler(&mut self.exchange, &mut self.visit) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Respond(response)) => self.exchange.response = Some(*response),
                Err(error) => {
                    if let Err(failure) = self.failed(lane, Hook::PostHandler, &error) {
                        self.rescue(&failure);
                    }
                }
            }
        }
    }

    /// `post-response`: in reverse chain order; nobody waits for it.
    pub(super) fn post_response(&mut self, summary: Summary) {
        for lane in self.callers(Hook::PostResponse) {
            if self.is_out(lane) {
                continue;
            }
            // Counted and logged by the lane; there is nothing left to deny.
            let _ = lane.post_response(&mut self.exchange, &mut self.visit, summary);
        }
    }
}

impl Pipeline {
    /// The lanes and chain of a route, or of the gateway where there is none.
    pub(super) fn chain(&self, route: Option<usize>) -> &Chain {
        route.and_then(|route| self.plan.routes.get(route)).map_or(&self.plan.gateway, |route| &route.chain)
    }
}
