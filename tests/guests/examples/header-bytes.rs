//! Carries bytes that are not UTF-8 both ways.
//!
//! What came in the request's `x-bytes` goes on as `x-bytes-copy`, in hexadecimal as `x-bytes-hex`; the same for the response.
//! In `x-bytes-odd` it sends bytes of its own.

use portcullis_sdk::prelude::*;

struct Bytes {
    name: HeaderName,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[portcullis_sdk::plugin(name = "header-bytes")]
impl Plugin for Bytes {
    type Config = NoConfig;

    fn init(_: NoConfig) -> Result<Self> {
        Ok(Self { name: HeaderName::intern("X-Bytes")? })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        if let Some(value) = request.header(self.name) {
            request.set_header_named("x-bytes-copy", &value)?;
            request.set_header_named("x-bytes-hex", hex(&value))?;
            request.set_header_named("x-bytes-utf8", value.as_str().is_ok().to_string())?;
        }
        request.set_header_named("x-bytes-odd", b"\xff\xfe\x80")?;
        Ok(Verdict::Next)
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        if let Some(value) = response.header(self.name) {
            response.set_header_named("x-bytes-copy", &value)?;
            response.set_header_named("x-bytes-hex", hex(&value))?;
        }
        response.set_header_named("x-bytes-odd", b"\xff\xfe\x80")?;
        let refused = response.set_header_named("x-bytes-bad", b"a\r\nx-smuggled: 1").is_err();
        response.set_header_named("x-bytes-refused", refused.to_string())?;
        Ok(Verdict::Next)
    }
}
