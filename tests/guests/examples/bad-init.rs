//! Does not get through `init`, in the way its configuration says.

use std::hint::black_box;

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
#[serde(rename_all = "snake_case")]
enum How {
    /// An error value.
    Error,
    /// A trap.
    Trap,
    /// An endless loop.
    Spin,
    /// More memory than there is.
    Memory,
    /// It does get through.
    Fine,
}

#[portcullis_sdk::config]
struct Config {
    /// How it fails.
    how: How,
}

struct BadInit;

#[portcullis_sdk::plugin(name = "bad-init")]
#[allow(clippy::panic, reason = "this is what it is for")]
impl Plugin for BadInit {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        match config.how {
            How::Error => return Err(Error::new("bad-init does not like this configuration")),
            How::Trap => panic!("bad-init panics"),
            How::Spin => while black_box(true) {},
            How::Memory => {
                let mut eaten = Vec::new();
                while black_box(true) {
                    eaten.push(black_box(vec![1_u8; 1024 * 1024]));
                }
            }
            How::Fine => {}
        }
        Ok(Self)
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.set_header_named("x-bad-init", "fine")?;
        Ok(Verdict::Next)
    }
}
