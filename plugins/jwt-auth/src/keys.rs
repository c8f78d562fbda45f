//! Which of our keys may have signed a token: chosen by its `alg` and `kid`, never the other way round.
//!
//! Border: keys are numbers in the order of their import; verifying is the gateway's. Invariant: a key is a candidate only
//! for the algorithm it was imported for (RFC 8725 section 3.1).

use portcullis_sdk::crypto::Algorithm;

use crate::base64url;
use crate::check::Types;
use crate::deny::Denial;
use crate::json::{Kind, is_same};
use crate::token::Header;

/// Most keys that are tried for one token: each try costs up to 100 µs, and anybody may send a token.
pub(crate) const CANDIDATES_MAX: usize = 8;

/// One key, imported for one algorithm.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// The algorithm it is bound to.
    pub algorithm: Algorithm,
    /// Its name; without one it may stand for any.
    pub kid: Option<String>,
    /// The only issuer whose tokens it signs.
    pub issuer: Option<String>,
}

/// Whether a token must name its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kid {
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// All keys.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Vec<Key>,
    kid: Kid,
    /// Headers as most producers write them, already encoded and with their dot, and who may have signed behind them. Comparing one costs
    /// a tenth of decoding and reading it, and gives the same.
    usual: Vec<(Vec<u8>, Vec<usize>)>,
}

impl Keys {
    /// Refuses sets in which a token would leave too many keys to try.
    pub(crate) fn new(keys: Vec<Key>, kid: Kid, types: &Types) -> Result<Self, String> {
        let mut this = Self { keys, kid, usual: Vec::new() };
        for key in &this.keys {
            let candidates = |kid: Option<&str>| this.matching(key.algorithm, kid).count();
            let most = key.kid.as_deref().map_or(0, |kid| candidates(Some(kid))).max(match kid {
                Kid::Optional => candidates(None),
                Kid::Required => 0,
            });
            if most > CANDIDATES_MAX {
                return Err(format!(
                    "keys: {most} keys for {} would have to be tried for one token, more than {CANDIDATES_MAX}; \
                     give each its \"kid\" and set \"require_kid\": true",
                    name(key.algorithm)
                ));
            }
        }
        this.usual = this.usual_headers(types);
        Ok(this)
    }

    /// The key with this number.
    pub(crate) fn key(&self, number: usize) -> Option<&Key> {
        self.keys.get(number)
    }

    /// The candidates behind a header that is written as usual, and what follows it.
    pub(crate) fn by_usual_header<'a>(&self, signed: &'a [u8]) -> Option<(&[usize], &'a [u8])> {
        self.usual.iter().find_map(|(text, keys)| {
            let (header, payload) = signed.split_at_checked(text.len())?;
            is_same(header, text).then_some((keys.as_slice(), payload))
        })
    }

    /// The candidates behind any header, after a look at its type.
    pub(crate) fn candidates<'a>(
        &'a self,
        header: &Header<'a>,
        types: &Types,
    ) -> Result<impl Iterator<Item = usize> + use<'a>, Denial> {
        let alg = header.alg.text().ok_or(Denial::Invalid("the token names no algorithm"))?;
        let algorithm = algorithm(&alg);
        // Said apart, since it is the one that operators search for: a key for another algorithm is no key.
        let Some(algorithm) = algorithm.filter(|alg| self.keys.iter().any(|key| key.algorithm == *alg)) else {
            return Err(Denial::Invalid("the token's algorithm is not allowed"));
        };
        let kid = match header.kid.kind() {
            Kind::Absent => None,
            _ => Some(header.kid.text().ok_or(Denial::Invalid("the token is malformed"))?),
        };
        types.check(header.typ)?;
        if kid.is_none() && self.kid == Kid::Required {
            return Err(Denial::Invalid("the token does not name its key"));
        }
        let numbers: Vec<_> = self.matching(algorithm, kid.as_deref()).collect();
        if numbers.is_empty() { Err(Denial::Invalid("no key fits the token")) } else { Ok(numbers.into_iter()) }
    }

    fn matching(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = usize> {
        let fits = move |key: &Key| match (&key.kid, kid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        let all = self.keys.iter().enumerate();
        all.filter(move |(_, key)| key.algorithm == algorithm && fits(key)).map(|(number, _)| number)
    }

    fn usual_headers(&self, types: &Types) -> Vec<(Vec<u8>, Vec<usize>)> {
        let mut usual: Vec<(Vec<u8>, Vec<usize>)> = Vec::new();
        for key in self.keys.iter().take(CANDIDATES_MAX) {
            let alg = name(key.algorithm);
            let (kid, theirs) = match &key.kid {
                // What would have to be escaped is not usual.
                Some(kid) if kid.bytes().all(|b| (b' '..=b'~').contains(&b) && !matches!(b, b'"' | b'\\' | b'/')) => {
                    (format!(",\"kid\":\"{kid}\""), Some(kid.as_str()))
                }
                _ if self.kid == Kid::Required => continue,
                _ => (String::new(), None),
            };
            for typ in types.usual() {
                let member = if typ.is_empty() { String::new() } else { format!(",\"typ\":\"{typ}\"") };
                let mut texts =
                    vec![format!("{{\"alg\":\"{alg}\"{member}{kid}}}"), format!("{{\"alg\":\"{alg}\"{kid}{member}}}")];
                if !typ.is_empty() {
                    texts.push(format!("{{\"typ\":\"{typ}\",\"alg\":\"{alg}\"{kid}}}"));
                }
                for text in texts {
                    let encoded = format!("{}.", base64url::encode(text.as_bytes())).into_bytes();
                    if usual.iter().all(|(known, _)| *known != encoded) {
                        usual.push((encoded, self.matching(key.algorithm, theirs).collect()));
                    }
                }
            }
        }
        usual
    }
}

/// The name of an algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 => "HS256",
        Algorithm::Hs384 => "HS384",
        Algorithm::Hs512 => "HS512",
        Algorithm::Rs256 => "RS256",
        Algorithm::Rs384 => "RS384",
        Algorithm::Rs512 => "RS512",
        Algorithm::Ps256 => "PS256",
        Algorithm::Ps384 => "PS384",
        Algorithm::Ps512 => "PS512",
        Algorithm::Es256 => "ES256",
        Algorithm::Es384 => "ES384",
        Algorithm::Eddsa => "EdDSA",
    }
}

/// The algorithm of this name. Names are case-sensitive (RFC 7515 section 4.1.1), and `none` is not among them.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "HS256" => Algorithm::Hs256,
        "HS384" => Algorithm::Hs384,
        "HS512" => Algorithm::Hs512,
        "RS256" => Algorithm::Rs256,
        "RS384" => Algorithm::Rs384,
        "RS512" => Algorithm::Rs512,
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        // RFC 9864 gives Ed25519 a name of its own; EdDSA is nothing else here.
        "EdDSA" | "Ed25519" => Algorithm::Eddsa,
        _ => return None,
    })
}
