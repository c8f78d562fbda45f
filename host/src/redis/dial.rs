//! Makes connections: TCP, TLS or a socket in the file system, then the greeting of Redis.
//!
//! A connection that is handed out has answered a command, so that a server that accepts but does not work is not taken for one that
//! works. What is wrong is told in words, without passwords.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSub};
use ::redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, ServerError, Value};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::settings::{Access, Address, Settings, Tls};
use crate::tls;

/// Longest time until a connection is established and greeted: two SYNs may be lost.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of which nothing is heard is asked after this long, and again.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(5);

/// What was sent must be acknowledged within this long. TCP alone would wait a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A connection that carries many commands at once.
pub(super) type Connection = MultiplexedConnection;

/// What moves the bytes of a connection while it is polled; ends with the connection.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()>>>;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Makes connections as the settings say.
pub(super) struct Dialer {
    settings: Arc<Settings>,
    /// What the files of TLS mean, and the digest of what they were when they were read.
    tls: RefCell<Option<([u8; 32], Arc<ClientConfig>)>>,
}

impl Dialer {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, tls: RefCell::new(None) }
    }

    /// Connects to a server that holds data.
    pub(super) async fn connect(&self, address: &Address) -> Result<(Connection, Driver), String> {
        let info = greeting(&self.settings.access).set_db(i64::from(self.settings.database));
        limited(self.open(address, info)).await
    }

    /// Connects to a sentinel.
    pub(super) async fn connect_sentinel(
        &self,
        address: &Address,
        access: &Access,
    ) -> Result<(Connection, Driver), String> {
        limited(self.open(address, greeting(access))).await
    }

    async fn open(&self, address: &Address, info: RedisConnectionInfo) -> Result<(Connection, Driver), String> {
        let wire = self.wire(address).await?;
        // Whoever asks says how long an answer may take.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connected = MultiplexedConnection::new_with_config(&info, wire, config).await;
        let (mut connection, driver) = connected.map_err(|error| words(&error))?;
        let mut driver: Driver = Box::pin(driver);
        match question(&mut connection, &mut driver, &::redis::cmd("PING")).await? {
            // Who may not ask that has been answered all the same.
            Value::ServerError(error) if error.code() != "NOPERM" => Err(server_words(&error)),
            _ => Ok((connection, driver)),
        }
    }

    /// Connects for the messages of a channel; they come from now on.
    pub(super) async fn listen(&self, address: &Address, channel: &[u8]) -> Result<PubSub, String> {
        let info = greeting(&self.settings.access);
        limited(async {
            let wire = self.wire(address).await?;
            let mut listening = PubSub::new(&info, wire).await.map_err(|error| words(&error))?;
            listening.subscribe(channel).await.map_err(|error| words(&error))?;
            Ok(listening)
        })
        .await
    }

    async fn wire(&self, address: &Address) -> Result<Box<dyn Wire>, String> {
        let (host, port) = match address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(|e| e.to_string())?)),
            Address::Tcp(host, port) => (host, *port),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
        // Refused by no system we run on; and without them it is only later that a dead connection is noticed.
        let _ = stream.set_nodelay(true);
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_AGAIN);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let Some(tls) = &self.settings.tls else { return Ok(Box::new(stream)) };
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.clone()).map_err(|_| format!("{host} cannot be the name of a server"))?,
        };
        let connector = TlsConnector::from(self.client(tls)?);
        Ok(Box::new(connector.connect(name, stream).await.map_err(|error| error.to_string())?))
    }

    /// What TLS is spoken with. The files are read once more where they have changed.
    fn client(&self, tls: &Tls) -> Result<Arc<ClientConfig>, String> {
        let digest = tls::client_digest(&tls.client);
        let mut known = self.tls.borrow_mut();
        if let Some((of, config)) = &*known
            && *of == digest
        {
            return Ok(Arc::clone(config));
        }
        let config = tls::client(&tls.client).map_err(|error| error.to_string())?;
        *known = Some((digest, Arc::clone(&config)));
        Ok(config)
    }
}

/// Asks something on a connection that nobody else drives yet.
pub(super) async fn question(connection: &mut Connection, driver: &mut Driver, command: &Cmd) -> Result<Value, String> {
    tokio::select! {
        biased;
        answer = connection.send_packed_command(command) => answer.map_err(|error| words(&error)),
        () = driver => Err("the connection was closed".to_owned()),
    }
}

async fn limited<T>(attempt: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {} s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, attempt).await.unwrap_or_else(late)
}

fn greeting(access: &Access) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = &access.username {
        info = info.set_username(username);
    }
    if let Some(password) = &access.password {
        info = info.set_password(password.reveal());
    }
    info
}

/// What an error says, as Redis would write it where it comes from there.
fn words(error: &RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "the password is not accepted".to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}

/// What Redis has answered with.
pub(super) fn server_words(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}
