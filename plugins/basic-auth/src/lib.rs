//! Lets pass who knows a name and its password (RFC 7617).
//!
//! ```json
//! {
//!   "users": [{ "name": "alice", "password": "$2b$10$…", "roles": ["editor"] }],
//!   "htpasswd": { "$file": "users.htpasswd" },
//!   "realm": "staging"
//! }
//! ```
//!
//! Passwords are kept as bcrypt hashes; `portcullis hash password` or `htpasswd -B` makes them. Trying one takes some hundredths
//! of a second, beside the workers: what was right is remembered as a keyed digest, and what was wrong is bounded, by client (`attempts_per_second`: then 429) and for
//! all together (`attempts_per_second_of_all`: then 503), so that guessing keeps neither the workers busy nor others out. Who has passed lately always
//! passes. A name that does not exist takes as long as a wrong password. Use it over TLS only: the password travels with every request.
//!
//! The attributes `auth.subject`, `auth.method` (`basic`) and `auth.roles` tell later plugins, limits and logs who it was.

mod attempts;
mod credentials;
mod users;

use std::cell::RefCell;

use portcullis_sdk::crypto::{self, Algorithm, Key, Password, Tried};
use portcullis_sdk::prelude::*;

use crate::attempts::{Attempts, Room};
use crate::credentials::Credentials;
use crate::users::{Remembered, Users};

/// What operators write. At least one user, in `users` or `htpasswd`.
#[portcullis_sdk::config]
pub struct Config {
    /// Who may pass.
    #[serde(default)]
    users: Vec<UserConfig>,
    /// More of them, as in a file of Apache: `name:hash`, one a line. Usually `{"$file": "…"}`.
    #[serde(default)]
    htpasswd: Option<String>,
    /// What browsers show when they ask for the password.
    #[serde(default = "realm")]
    realm: String,
    /// Whether requests without credentials pass. Wrong ones never do.
    #[serde(default)]
    optional: bool,
    /// Whether the upstream sees the credentials.
    #[serde(default)]
    keep_credentials: bool,
    /// The request header that tells the upstream the name. What clients send under that name is removed.
    #[serde(default)]
    name_header: Option<String>,
    /// How many wrong passwords one client (an address, or a /64 of IPv6) may try per second in the long run; five at once are always allowed. Over it the
    /// answer is 429.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    attempts_per_second: u32,
    /// How many wrong passwords are tried per second for all clients together. Ten keep half a core busy; a hash of cost 11 counts twice, one of
    /// cost 12 four times. Over it the answer is 503 for everybody who has not passed lately.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 10_000))]
    attempts_per_second_of_all: u32,
}

/// One user.
#[portcullis_sdk::config]
struct UserConfig {
    /// The name; no colon (RFC 7617 section 2).
    #[schemars(length(min = 1, max = 256))]
    name: String,
    /// The bcrypt hash of the password.
    password: String,
    /// The user's roles, for `access-control`.
    #[serde(default)]
    roles: Vec<String>,
}

fn realm() -> String {
    "restricted".to_owned()
}

const fn one() -> u32 {
    1
}

const fn ten() -> u32 {
    10
}

/// One instance.
pub struct BasicAuth {
    users: Users<Password>,
    /// Somebody's with its weight, tried for names that do not exist, so that both take the same time.
    nobody: (Password, u32),
    /// Keys the digests in `remembered`.
    secret: Key,
    remembered: RefCell<Remembered>,
    /// What is being tried at the moment, for requests that come again when that is known.
    trying: RefCell<Remembered>,
    attempts: Attempts,
    challenge: String,
    optional: bool,
    keep_credentials: bool,
    authorization: HeaderName,
    name_header: Option<HeaderName>,
}

#[portcullis_sdk::plugin(grants = ["crypto", "limits"])]
impl Plugin for BasicAuth {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let mut users = Users::default();
        let import = |stored: &str| Password::import(stored).map_err(|error| error.message().to_owned());
        for user in &config.users {
            users.add(&user.name, &user.password, &user.roles, import)?;
        }
        if let Some(text) = &config.htpasswd {
            users.add_file(text, import)?;
        }
        let nobody = users.any().ok_or_else(|| Error::new("nobody could pass: write `users` or `htpasswd`"))?;
        let nobody = (nobody.password, nobody.weight);
        let realm = config.realm.replace('\\', "\\\\").replace('"', "\\\"");
        Ok(Self {
            users,
            nobody,
            secret: Key::secret(crypto::random(32), Algorithm::Hs256)?,
            remembered: RefCell::default(),
            trying: RefCell::default(),
            attempts: Attempts::new(config.attempts_per_second, config.attempts_per_second_of_all)?,
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            optional: config.optional,
            keep_credentials: config.keep_credentials,
            authorization: HeaderName::intern("authorization")?,
            name_header: config.name_header.as_deref().map(HeaderName::intern).transpose()?,
        })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        if let Some(name) = self.name_header {
            request.remove_header(name);
        }
        let values = request.headers(self.authorization);
        let credentials = match Credentials::read(values.iter().map(HeaderValue::as_bytes)) {
            Ok(Some(credentials)) => credentials,
            Ok(None) if self.optional => return Ok(Verdict::Next),
            Ok(None) => return Ok(self.denied("a name and a password are required")),
            Err(why) => return Ok(Response::problem(400, why).into()),
        };
        let digest = self.secret.hmac(credentials.joined());
        // Apart, so that it is not lent any more when there is something to remember.
        let is_remembered = self.remembered.borrow().has(&digest);
        if !is_remembered && let Some(refused) = self.tried(request, &credentials, digest) {
            return Ok(refused);
        }
        let Some(user) = self.users.find(credentials.name()) else { return Ok(self.denied("the name is not known")) };
        request.set_attribute("auth.subject", &user.name)?;
        request.set_attribute("auth.method", "basic")?;
        request.set_attribute("auth.roles", &user.roles)?;
        if let Some(name) = self.name_header {
            request.set_header(name, &user.name)?;
        }
        if !self.keep_credentials {
            request.remove_header(self.authorization);
        }
        Ok(Verdict::Next)
    }
}

/// Without having tried the password.
fn refused(request: &Request, status: u16, why: &str) -> Verdict {
    let _ = request.set_attribute("auth.failure", why);
    Response::problem(status, why).with_header("retry-after", "1").into()
}

impl BasicAuth {
    /// Tries a password that is not remembered; a verdict where it is not right, or not known to be yet.
    fn tried(&self, request: &Request, credentials: &Credentials, digest: Vec<u8>) -> Option<Verdict> {
        let address = request.client_address();
        // Who comes again for the answer has been let in before.
        let room = if self.trying.borrow_mut().remove(&digest) { Room::There } else { self.attempts.room(&address) };
        match room {
            Room::There => {}
            Room::NoneForClient => return Some(refused(request, 429, "too many attempts")),
            // Not the fault of who asks, and so nothing that others would ban them for.
            Room::NoneForAnybody => return Some(refused(request, 503, "too many attempts by others")),
        }
        let user = self.users.find(credentials.name());
        let (stored, weight) = user.map_or(self.nobody, |user| (user.password, user.weight));
        match stored.try_beside(credentials.password()) {
            Tried::Right if user.is_some() => {
                self.remembered.borrow_mut().add(digest);
                None
            }
            Tried::Right | Tried::Wrong => {
                self.attempts.failed(&address, weight);
                let _ = request.set_attribute("auth.failure", "wrong password");
                Some(self.denied("the name or the password is wrong"))
            }
            Tried::Pending => {
                self.trying.borrow_mut().add(digest);
                // Forgotten when the gateway calls again; whoever did not would let nobody pass.
                Some(Response::problem(503, "the password is being tried").into())
            }
            Tried::Busy => Some(refused(request, 503, "too many attempts at once")),
        }
    }

    fn denied(&self, why: &str) -> Verdict {
        Response::problem(401, why).with_header("www-authenticate", &self.challenge).into()
    }
}
