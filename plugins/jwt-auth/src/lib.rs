//! Lets pass who brings a valid JSON Web Token (RFC 7519), and tells the upstream who it is.
//!
//! Every token is verified afresh; nothing about a token is remembered. The order of the work is in `token.rs`: structure,
//! header, key, signature, claims. The cryptography is the gateway's (grant `crypto`), the time, too (grant `clock`).
//!
//! # The checklist: RFC 8725, JSON Web Token Best Current Practices
//!
//! | section | what is done |
//! |---|---|
//! | 3.1 perform algorithm verification | each key is imported for the algorithms its configuration names, and verifies only with those; a token's `alg` only chooses among them |
//! | 3.2 use appropriate algorithms | the list is closed; `none` is not on it, nor is anything with SHA-1 or RSA encryption |
//! | 3.3 validate all cryptographic operations | one signature, one answer; anything but "verified" is 401 |
//! | 3.4 validate cryptographic inputs | the gateway checks that points are on their curve, moduli and exponents are sane |
//! | 3.5 ensure cryptographic keys have sufficient entropy | HMAC secrets are at least as long as the hash, RSA moduli have 2048 bits; a public key in PEM or JWK is refused as a secret |
//! | 3.6 avoid compression of encryption inputs | encrypted tokens are not taken at all |
//! | 3.7 use UTF-8 | header and claims must be UTF-8, and JSON in which no name stands twice |
//! | 3.8 validate issuer and subject | `issuers`, `issuer` of each key, `require_sub` |
//! | 3.9 use and validate audience | `audiences` |
//! | 3.10 do not trust received claims | `kid` is compared with names of keys and looked up nowhere; `jku`, `x5u`, `jwk` and `x5c` are ignored; forwarded claims hold no control characters |
//! | 3.11 use explicit typing | `types`; without it only `JWT`, `at+jwt` and untyped tokens are taken |
//! | 3.12 use mutually exclusive validation rules for different kinds of JWTs | keys, issuers, audiences and types are set per route |
//!
//! Of its attacks: 2.1 weak signatures and confused algorithms: 3.1, 3.5 · 2.2 weak keys: 3.5 · 2.3, 2.4 encryption: not taken ·
//! 2.5 invalid curves: 3.4 · 2.6 other encodings of JSON: 3.7 · 2.7 substitution: 3.8, 3.9 · 2.8 cross-JWT confusion:
//! 3.11, 3.12 · 2.9 indirect attacks on the server: 3.10.

mod base64url;
mod check;
mod claims;
mod config;
mod deny;
mod forward;
mod import;
mod json;
mod keys;
mod place;
mod plugin;
mod settings;
mod token;

pub use config::Config;
pub use plugin::JwtAuth;

#[cfg(test)]
mod tests;
