//! One order (RFC 8555 section 7.4): account, proofs, certificate. Says what went wrong; when to try again is not decided here.

use std::io;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, KeyPair};

use super::certificate::{self, CertificateError};
use super::schedule::Trouble;
use super::storage::Storage;
use super::{Challenge, Settings};
use crate::certificates::{Shown, challenges};

/// Longest time for a whole order. Validations from several places of the world take some seconds, a busy CA a minute.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How the CA is asked whether it is done: soon, then less often.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// Why a certificate was not obtained.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The CA cannot be asked, or refuses.
    #[error("{whose}: {0}", whose = describe(.0))]
    Acme(#[from] Error),
    /// The CA does not want a proof that we can give.
    #[error("the CA wants none of the challenges that are configured, only {0}")]
    NoChallenge(String),
    /// The CA is not convinced that the host is ours.
    #[error("validation failed: {0}")]
    NotProved(String),
    /// A certificate could not be made or used.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// The account cannot be kept.
    #[error("cannot write to acme.storage: {0}")]
    Storage(#[from] io::Error),
    /// It takes too long.
    #[error("no certificate within {} s", ORDER_TIMEOUT.as_secs())]
    Timeout,
}

fn describe(error: &Error) -> &'static str {
    if matches!(error, Error::Api(_)) { "refused by the CA" } else { "cannot talk to the CA" }
}

impl OrderError {
    /// What it means for the next attempt.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Acme(Error::Api(problem)) if is(problem, "rateLimited") => Trouble::Limited,
            _ => Trouble::Passing,
        }
    }
}

/// Whether a problem is of a kind (RFC 8555 section 6.7).
fn is(problem: &instant_acme::Problem, kind: &str) -> bool {
    let found = problem.r#type.as_deref().and_then(|text| text.strip_prefix("urn:ietf:params:acme:error:"));
    found == Some(kind)
}

/// Obtains a certificate for a host and gives key and chain as PEM. Proves control by `first`, or by another way where the CA does
/// not offer that one.
pub(super) async fn obtain(
    settings: &Settings,
    storage: &Storage,
    host: &str,
    first: Challenge,
) -> Result<String, OrderError> {
    let obtained = async {
        match attempt(settings, storage, host, first).await {
            // The CA has lost our account, as test servers do; a new one costs nothing.
            Err(OrderError::Acme(Error::Api(problem))) if is(&problem, "accountDoesNotExist") => {
                tracing::warn!("the CA does not know our account any more; making a new one");
                storage.forget_account();
                attempt(settings, storage, host, first).await
            }
            result => result,
        }
    };
    tokio::time::timeout(ORDER_TIMEOUT, obtained).await.unwrap_or(Err(OrderError::Timeout))
}

async fn attempt(settings: &Settings, storage: &Storage, host: &str, first: Challenge) -> Result<String, OrderError> {
    let account = account(settings, storage).await?;
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let shown = prove(settings, &mut order, host, first).await?;
    let ready = order.poll_ready(&POLL).await;
    if !matches!(ready, Ok(OrderStatus::Ready)) {
        return Err(why_not(&mut order, ready).await);
    }
    drop(shown);
    // A new key for every certificate: one that leaked is good for one life at most.
    let key = KeyPair::generate().map_err(CertificateError::from)?;
    let params = CertificateParams::new([host.to_owned()]).map_err(CertificateError::from)?;
    let request = params.serialize_request(&key).map_err(CertificateError::from)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&POLL).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

/// The account that is kept, or a new one.
async fn account(settings: &Settings, storage: &Storage) -> Result<Account, OrderError> {
    let builder = || match &settings.ca {
        Some(ca) => Account::builder_with_root(ca),
        None => Account::builder(),
    };
    if let Some(credentials) = storage.account() {
        return Ok(builder()?.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let external = settings.external_account.as_ref();
    let external = external.map(|external| ExternalAccountKey::new(external.kid.clone(), &external.hmac));
    // That the terms are accepted has been checked with the configuration.
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder()?.create(&new, settings.directory.clone(), external.as_ref()).await?;
    storage.put_account(&credentials)?;
    tracing::info!(directory = settings.directory, account = account.id(), "ACME account made");
    Ok(account)
}

/// Shows a proof for everything that the CA has not seen proved already, and asks it to look.
async fn prove(
    settings: &Settings,
    order: &mut Order,
    host: &str,
    first: Challenge,
) -> Result<Vec<Shown<'static>>, OrderError> {
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            // Proved lately, and the CA remembers.
            AuthorizationStatus::Valid => continue,
            _ => return Err(OrderError::NotProved(reason(&authorization))),
        }
        let ways = std::iter::once(first).chain(settings.challenges.iter().copied());
        let offered = |way: &Challenge| authorization.challenges.iter().any(|challenge| challenge.r#type == kind(*way));
        let Some(way) = ways.into_iter().find(offered) else {
            let offered: Vec<_> =
                authorization.challenges.iter().map(|offered| format!("{:?}", offered.r#type)).collect();
            return Err(OrderError::NoChallenge(offered.join(", ")));
        };
        // It was there a moment ago.
        let Some(mut challenge) = authorization.challenge(kind(way)) else { continue };
        shown.push(show(way, &challenge, host)?);
        tracing::debug!(host, ?way, "asking the CA to validate");
        challenge.set_ready().await?;
    }
    Ok(shown)
}

fn show(way: Challenge, challenge: &ChallengeHandle<'_>, host: &str) -> Result<Shown<'static>, OrderError> {
    let authorization = challenge.key_authorization();
    match way {
        Challenge::Http01 => Ok(challenges().show_http(&challenge.token, authorization.as_str())),
        Challenge::TlsAlpn01 => {
            let digest = authorization.digest();
            // SHA-256 has 32 bytes.
            let digest = digest.as_ref().try_into().map_err(|_| CertificateError::Format)?;
            Ok(challenges().show_alpn(host, certificate::proof(host, digest)?))
        }
    }
}

fn kind(way: Challenge) -> ChallengeType {
    match way {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// Why an order did not become ready: what the CA says of the validations, where it says anything.
async fn why_not(order: &mut Order, ready: Result<OrderStatus, Error>) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_ok() && authorization.status == AuthorizationStatus::Invalid {
            return OrderError::NotProved(reason(&authorization));
        }
    }
    match ready {
        Err(error) => OrderError::Acme(error),
        Ok(status) => OrderError::NotProved(format!("the order is {status:?}")),
    }
}

fn reason(authorization: &AuthorizationHandle<'_>) -> String {
    let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
    let told: Vec<_> = errors.map(ToString::to_string).collect();
    if told.is_empty() { format!("the authorization is {:?}", authorization.status) } else { told.join("; ") }
}
