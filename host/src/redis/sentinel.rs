//! Asks the sentinels which server is the master at the moment (Redis, "Guidelines for Redis clients with support for Redis Sentinel").

use std::time::Duration;

use ::redis::Value;

use super::dial::{Connection, Dialer, Driver, question};
use super::settings::{Address, Sentinel};

/// A sentinel that takes longer is passed over for the next.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to the master.
pub(super) async fn connect(dialer: &Dialer, settings: &Sentinel) -> Result<(Address, Connection, Driver), String> {
    let address = master(dialer, settings).await?;
    let (mut connection, mut driver) = dialer.connect(&address).await.map_err(|why| format!("{address}: {why}"))?;
    // A sentinel that has been cut off names the master that was.
    let role = question(&mut connection, &mut driver, &::redis::cmd("ROLE")).await?;
    let is_master = match &role {
        Value::Array(parts) => parts.first().is_some_and(|role| *role == Value::BulkString(b"master".to_vec())),
        _ => false,
    };
    if is_master { Ok((address, connection, driver)) } else { Err(format!("{address} is not the master")) }
}

/// Where the master is, by the first sentinel that knows.
pub(super) async fn master(dialer: &Dialer, settings: &Sentinel) -> Result<Address, String> {
    let mut troubles = Vec::new();
    for sentinel in &settings.sentinels {
        match tokio::time::timeout(TIMEOUT, ask(dialer, settings, sentinel)).await {
            Ok(Ok(address)) => return Ok(address),
            Ok(Err(why)) => troubles.push(format!("sentinel {sentinel}: {why}")),
            Err(_) => troubles.push(format!("sentinel {sentinel}: no answer within {} s", TIMEOUT.as_secs())),
        }
    }
    Err(troubles.join("; "))
}

async fn ask(dialer: &Dialer, settings: &Sentinel, sentinel: &Address) -> Result<Address, String> {
    let (mut connection, mut driver) = dialer.connect_sentinel(sentinel, &settings.access).await?;
    let mut command = ::redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(&settings.master);
    match question(&mut connection, &mut driver, &command).await? {
        Value::Nil => Err(format!("knows no master {:?}", settings.master)),
        Value::Array(parts) => {
            let text = |index: usize| match parts.get(index) {
                Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).ok(),
                _ => None,
            };
            let port = text(1).and_then(|port| port.parse().ok());
            let found = text(0).zip(port).map(|(host, port)| Address::Tcp(host.to_owned(), port));
            found.ok_or_else(|| "cannot be understood".to_owned())
        }
        Value::ServerError(error) => Err(super::dial::server_words(&error)),
        _ => Err("cannot be understood".to_owned()),
    }
}
