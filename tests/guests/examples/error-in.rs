//! Returns an error value from the hook that its configuration names.

use portcullis_sdk::prelude::*;

fn fail(hook: &str) -> Result<()> {
    Err(Error::new(format_args!("error-in fails in {hook}")))
}

portcullis_guests::in_one_hook!("error-in", fail);
