//! Says in `x-version` which version it is and in `x-version-config` what its configuration says.
//!
//! The version is in the component's bytes, at a fixed length behind a mark, so that the kit makes as many versions as a test
//! wants by writing over it.

use std::hint::black_box;

use portcullis_sdk::prelude::*;

/// A mark, then the version in eight digits.
static VERSION: [u8; 40] = *b"portcullis-guest-version-mark: 00000000.";

#[portcullis_sdk::config]
struct Config {
    /// Goes into `x-version-config`.
    #[serde(default)]
    word: String,
}

struct Version {
    set: HeaderSet,
}

#[portcullis_sdk::plugin(name = "version")]
impl Plugin for Version {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        // black_box, or the digits become constants of an instruction and cannot be found.
        let version = String::from_utf8_lossy(black_box(&VERSION));
        let digits = version.rsplit_once(' ').map_or("none", |(_, digits)| digits.trim_end_matches('.'));
        let set = HeaderSet::builder().set("x-version", digits).set("x-version-config", config.word).prepare()?;
        Ok(Self { set })
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.apply(self.set);
        Ok(Verdict::Next)
    }
}
