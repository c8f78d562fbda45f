//! What several guests share: being a plugin that does one thing in one hook.
//!
//! The guests themselves are the examples of this package, one file and one component each. A guest does what its name
//! says and nothing else, so that a test names what it needs.

use portcullis_sdk::prelude::*;

/// Where a guest acts.
#[portcullis_sdk::config]
pub struct Place {
    /// The hook's name in WIT, such as `pre-handler`.
    pub hook: String,
    /// Only for requests with this field.
    pub only_with: Option<String>,
}

impl Place {
    /// Whether a hook with a request is the place.
    pub fn is(&self, hook: &str, request: &Request) -> bool {
        self.hook == hook && self.only_with.as_ref().is_none_or(|name| request.header_named(name).is_some())
    }
}

/// A plugin that calls `$act: fn(&str)` in the hook that its configuration names, and goes on if that comes back.
#[macro_export]
macro_rules! in_one_hook {
    ($name:literal, $act:path) => {
        struct Guest($crate::Place);

        impl Guest {
            fn meet(
                &self,
                hook: &str,
                request: &::portcullis_sdk::Request,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::Verdict> {
                if self.0.is(hook, request) {
                    $act(hook)?;
                }
                Ok(::portcullis_sdk::Verdict::Next)
            }
        }

        #[::portcullis_sdk::plugin(name = $name)]
        impl ::portcullis_sdk::Plugin for Guest {
            type Config = $crate::Place;

            fn init(place: $crate::Place) -> ::portcullis_sdk::Result<Self> {
                if place.hook == "init" {
                    $act("init")?;
                }
                Ok(Self(place))
            }

            fn pre_route(
                &self,
                request: &::portcullis_sdk::Request,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::Verdict> {
                self.meet("pre-route", request)
            }

            fn pre_handler(
                &self,
                request: &::portcullis_sdk::Request,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::Verdict> {
                self.meet("pre-handler", request)
            }

            fn cache_key(
                &self,
                request: &::portcullis_sdk::Request,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::KeyVerdict> {
                self.meet("cache-key", request).map(|_| ::portcullis_sdk::KeyVerdict::Next)
            }

            fn cache_admit(
                &self,
                request: &::portcullis_sdk::Request,
                _: &::portcullis_sdk::Response,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::AdmitVerdict> {
                self.meet("cache-admit", request).map(|_| ::portcullis_sdk::AdmitVerdict::Next)
            }

            fn post_handler(
                &self,
                request: &::portcullis_sdk::Request,
                _: &::portcullis_sdk::Response,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::Verdict> {
                self.meet("post-handler", request)
            }

            fn post_response(
                &self,
                request: &::portcullis_sdk::Request,
                _: &::portcullis_sdk::Response,
                _: &::portcullis_sdk::Summary,
            ) -> ::portcullis_sdk::Result<()> {
                self.meet("post-response", request).map(|_| ())
            }

            fn on_error(
                &self,
                request: &::portcullis_sdk::Request,
                _: &::portcullis_sdk::Failure,
            ) -> ::portcullis_sdk::Result<::portcullis_sdk::Verdict> {
                self.meet("on-error", request)
            }

            fn destroy(&self) {
                if self.0.hook == "destroy" {
                    let _ = $act("destroy");
                }
            }
        }
    };
}
