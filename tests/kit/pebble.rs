//! A real CA: Let's Encrypt's `pebble` and its name server, in which every host is 127.0.0.1.
//!
//! Needs Debian's package `pebble`, which `cargo xtask test` installs. It validates for real; only the ports that it asks at are
//! the test's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::eventually;

/// A running CA. It ends when this is dropped.
pub struct Pebble {
    processes: Vec<Child>,
    folder: TempDir,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

/// What a CA is started with.
#[derive(Debug, Clone, Copy)]
pub struct Validation {
    /// Where it asks for proofs by HTTP-01.
    pub http_port: u16,
    /// Where it asks for proofs by TLS-ALPN-01.
    pub tls_port: u16,
    /// How long its certificates are good, in seconds.
    pub validity_seconds: u64,
}

impl Pebble {
    /// Starts a CA and waits until it listens.
    pub async fn start(validation: Validation) -> Self {
        let folder = tempfile::Builder::new().prefix("portcullis-pebble-").tempdir().unwrap();
        let (address, names, control) = (free_address(), free_address(), free_address());
        write_own_certificate(&folder);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = json!({ "pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": "",
            "certificate": path("own.pem"),
            "privateKey": path("own.key"),
            "httpPort": validation.http_port,
            "tlsPort": validation.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": validation.validity_seconds,
        }});
        fs::write(path("pebble.json"), config.to_string()).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut resolver = Command::new("pebble-challtestsrv");
        resolver.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
            "-defaultIPv4",
            "127.0.0.1",
        ]);
        resolver.args(["-dns01", &names.to_string(), "-management", &control.to_string()]);
        let mut ca = Command::new("pebble");
        ca.args(["-config", &path("pebble.json"), "-dnsserver", &names.to_string()]);
        ca.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_VA_ALWAYS_VALID", "0").env("PEBBLE_AUTHZREUSE", "0");
        let processes = vec![spawn(resolver, &log), spawn(ca, &log)];
        let pebble = Self { processes, folder, address, log };
        for listening in [control, address] {
            eventually("the CA listens", || async { TcpStream::connect(listening).await.ok() }).await;
        }
        pebble
    }

    /// The directory's URL.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The file with what vouches for the CA's own server.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// How many lines of its log hold this text.
    pub fn count(&self, text: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the CA's log:\n{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

/// An address that nobody listens on now, for those who do not take port 0.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A certificate for this machine's own addresses (`own.pem`, `own.key`) and that of its issuer (`ca.pem`).
pub(crate) fn write_own_certificate(folder: &TempDir) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", issuer.pem());
    write("own.pem", own.pem());
    write("own.key", key.serialize_pem());
}

fn spawn(mut command: Command, log: &Arc<Mutex<Vec<String>>>) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask test`"));
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let follow = |output: Box<dyn std::io::Read + Send>| {
        let log = Arc::clone(log);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.lock().unwrap().push(line);
            }
        });
    };
    follow(Box::new(out));
    follow(Box::new(err));
    child
}
