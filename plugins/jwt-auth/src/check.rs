//! What the claims of a verified token must be: in time, from and for whom, and allowed to do this.
//!
//! Border: pure; claims, settings and the time in, a denial out. What is wrong with the token is 401, what it does not
//! allow is 403.

use crate::claims::{AUD, ClaimPath, Claims, EXP, IAT, ISS, NBF, SCOPE, SCP, SUB};
use crate::deny::Denial;
use crate::json::{Kind, Value};
use crate::settings::Settings;
use crate::token::Host;

/// Seconds since the epoch beyond which a date must be milliseconds by mistake: the year 5138.
const SECONDS_MAX: f64 = 1e11;

const MALFORMED: Denial = Denial::Invalid("a claim has the wrong type");

/// Which types of token are taken (RFC 7515 section 4.1.9, RFC 8725 section 3.11).
#[derive(Debug, Default)]
pub(crate) struct Types(
    /// In lower case, without `application/`. Empty: tokens without a type, and those of [`Types::PLAIN`].
    pub Vec<String>,
);

impl Types {
    /// Types that mean nothing but "this is a token to get in with" (RFC 7519 section 5.1, RFC 9068 section 2.1).
    const PLAIN: [&'static str; 2] = ["jwt", "at+jwt"];

    /// The type as it is compared: media types are case-insensitive, and `application/` may be left out.
    pub(crate) fn normal(text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
    }

    /// Checks `typ`.
    pub(crate) fn check(&self, typ: Value<'_>) -> Result<(), Denial> {
        let taken = match typ.text() {
            Some(text) => self.takes(&Self::normal(&text)),
            None if typ.kind() == Kind::Absent => self.0.is_empty(),
            None => false,
        };
        if taken { Ok(()) } else { Err(Denial::Invalid("the token is of another type")) }
    }

    fn takes(&self, typ: &str) -> bool {
        if self.0.is_empty() { Self::PLAIN.contains(&typ) } else { self.0.iter().any(|taken| taken == typ) }
    }

    /// How taken types are usually written; an empty one stands for none.
    pub(crate) fn usual(&self) -> impl Iterator<Item = &'static str> {
        let taken = |typ: &&str| if typ.is_empty() { self.0.is_empty() } else { self.takes(&Self::normal(typ)) };
        ["JWT", "at+jwt", ""].into_iter().filter(taken)
    }
}

/// What a claim is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    /// A string.
    Text(String),
    /// A number, as written.
    Number(String),
    /// A boolean.
    Flag(bool),
}

impl Expected {
    fn is(&self, value: Value<'_>) -> bool {
        match (self, value.kind()) {
            (Self::Text(text), Kind::Text | Kind::Escaped) => value.is_text(text),
            (Self::Number(number), Kind::Number) => is_same_number(number, value.raw()),
            (Self::Flag(flag), Kind::True) => *flag,
            (Self::Flag(flag), Kind::False) => !*flag,
            _ => false,
        }
    }
}

/// Whole numbers are compared by their digits: as doubles, neighbouring account numbers beyond 2^53 would be the same.
fn is_same_number(one: &str, other: &str) -> bool {
    let is_whole = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if one == other || (is_whole(one) && is_whole(other)) {
        return one == other;
    }
    matches!((one.parse::<f64>(), other.parse::<f64>()), (Ok(one), Ok(other)) if one == other)
}

/// A claim that must have a value.
#[derive(Debug)]
pub(crate) struct Demand {
    /// Which claim.
    pub claim: ClaimPath,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub values: Vec<Expected>,
}

/// How a claim is compared with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// It is one of them.
    OneOf,
    /// It is a list that holds all of them.
    ContainsAll,
    /// It is one of them, or a list that holds one of them.
    Meets,
}

impl Demand {
    fn is_met(&self, claims: Claims<'_>) -> bool {
        let Ok(claim) = claims.at(&self.claim) else { return false };
        let is_one = |value: Value<'_>| self.values.iter().any(|expected| expected.is(value));
        let holds = |expected: &Expected| claim.find(|element| expected.is(element).then_some(())).is_some();
        match self.comparison {
            Comparison::OneOf => is_one(claim),
            Comparison::ContainsAll => self.values.iter().all(holds),
            Comparison::Meets => is_one(claim) || self.values.iter().any(holds),
        }
    }
}

/// Checks the claims of a token that the key with this number has signed.
pub(crate) fn check(claims: Claims<'_>, key: usize, settings: &Settings, host: &impl Host) -> Result<(), Denial> {
    check_times(claims, settings, host)?;
    check_issuer(claims, key, settings)?;
    check_audience(claims, settings)?;
    match claims.registered(SUB).kind() {
        Kind::Text | Kind::Escaped => {}
        Kind::Absent if !settings.require_sub => {}
        Kind::Absent => return Err(Denial::Invalid("the token does not say who it is about")),
        _ => return Err(MALFORMED),
    }
    if !settings.scopes.is_empty() && !settings.scopes.iter().all(|scope| has_scope(claims, scope)) {
        return Err(Denial::Forbidden("the token does not have the scope"));
    }
    if settings.roles.as_ref().is_some_and(|roles| !roles.is_met(claims)) {
        return Err(Denial::Forbidden("the token does not have the role"));
    }
    if !settings.demands.iter().all(|demand| demand.is_met(claims)) {
        return Err(Denial::Forbidden("a claim does not have the required value"));
    }
    Ok(())
}

/// RFC 7519 sections 4.1.4 to 4.1.6.
fn check_times(claims: Claims<'_>, settings: &Settings, host: &impl Host) -> Result<(), Denial> {
    let exp = date(claims.registered(EXP))?;
    let nbf = date(claims.registered(NBF))?;
    let iat = date(claims.registered(IAT))?;
    if exp.is_none() && settings.require_exp {
        return Err(Denial::Invalid("the token does not say when it expires"));
    }
    let (now, leeway) = (host.now_ms() as f64 / 1000.0, settings.leeway);
    if exp.is_some_and(|exp| now >= exp + leeway) {
        return Err(Denial::Invalid("the token has expired"));
    }
    if nbf.is_some_and(|nbf| now < nbf - leeway) {
        return Err(Denial::Invalid("the token is not valid yet"));
    }
    if iat.is_some_and(|iat| now < iat - leeway) {
        return Err(Denial::Invalid("the token was issued in the future"));
    }
    match (settings.age_max, iat) {
        (Some(_), None) => Err(Denial::Invalid("the token does not say when it was issued")),
        (Some(age_max), Some(iat)) if now >= iat + age_max + leeway => Err(Denial::Invalid("the token is too old")),
        _ => Ok(()),
    }
}

/// A NumericDate: seconds since the epoch, fractions allowed (RFC 7519 section 2).
fn date(value: Value<'_>) -> Result<Option<f64>, Denial> {
    if value.kind() == Kind::Absent {
        return Ok(None);
    }
    if value.kind() != Kind::Number {
        return Err(MALFORMED);
    }
    let seconds = match whole(value.bytes()) {
        Some(seconds) => seconds,
        None => value.raw().parse().map_err(|_| MALFORMED)?,
    };
    if (0.0..SECONDS_MAX).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err(Denial::Invalid("a date is not in seconds"))
    }
}

/// A whole number of so few digits that a double holds it exactly. Nearly all dates are.
fn whole(digits: &[u8]) -> Option<f64> {
    let digit = |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'));
    let number = if digits.len() <= 15 { digits.iter().try_fold(0, digit) } else { None };
    number.map(|number| number as f64)
}

/// One of the issuers, and the one that the key belongs to (RFC 8725 section 3.8).
fn check_issuer(claims: Claims<'_>, key: usize, settings: &Settings) -> Result<(), Denial> {
    let issuer = claims.registered(ISS);
    if !matches!(issuer.kind(), Kind::Text | Kind::Escaped | Kind::Absent) {
        return Err(MALFORMED);
    }
    let known = settings.issuers.is_empty() || settings.issuers.iter().any(|known| issuer.is_text(known));
    let of_key = settings.keys.key(key).and_then(|key| key.issuer.as_deref());
    if known && of_key.is_none_or(|of_key| issuer.is_text(of_key)) {
        Ok(())
    } else {
        Err(Denial::Invalid("the token is from another issuer"))
    }
}

/// RFC 7519 section 4.1.3: one string or a list of them.
fn check_audience(claims: Claims<'_>, settings: &Settings) -> Result<(), Denial> {
    let audience = claims.registered(AUD);
    let is_string = |value: Value<'_>| matches!(value.kind(), Kind::Text | Kind::Escaped);
    let malformed = match audience.kind() {
        Kind::Absent => false,
        Kind::List => audience.find(|element| (!is_string(element)).then_some(())).is_some(),
        _ => !is_string(audience),
    };
    if malformed {
        return Err(MALFORMED);
    }
    let is_ours = |value: Value<'_>| settings.audiences.iter().any(|ours| value.is_text(ours));
    let listed = || audience.find(|element| is_ours(element).then_some(())).is_some();
    if settings.audiences.is_empty() || is_ours(audience) || listed() {
        Ok(())
    } else {
        Err(Denial::Invalid("the token is for another audience"))
    }
}

/// `scope` is a string of words (RFC 8693 section 4.2); `scp`, where it is missing, the same or a list.
fn has_scope(claims: Claims<'_>, scope: &str) -> bool {
    let is_among = |value: Value<'_>| value.text().is_some_and(|text| text.split(' ').any(|word| word == scope));
    let written = match claims.registered(SCOPE) {
        absent if absent.kind() == Kind::Absent => claims.registered(SCP),
        present => present,
    };
    is_among(written) || written.find(|element| element.is_text(scope).then_some(())).is_some()
}
