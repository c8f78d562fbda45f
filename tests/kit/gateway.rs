//! The gateway's process: started, asked, changed while it runs, stopped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::artefacts;
use crate::client::{Client, Request};
use crate::logs::Logs;
use crate::setup::{Setup, merge};
use crate::wire::Response;
use crate::{eventually, in_time};

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    child: Child,
    folder: TempDir,
    logs: Logs,
    address: SocketAddr,
    stopped: bool,
}

impl Gateway {
    /// Starts a gateway and waits until it listens.
    pub async fn start(setup: &Setup) -> Self {
        let folder = write(setup);
        let (child, logs) = spawn(setup, &folder.path().join("portcullis.json"));
        let listening = logs.wait_for("the gateway listens", |line| line.listening(false).is_some()).await;
        let address = listening.listening(false).unwrap();
        Self { child, folder, logs, address, stopped: false }
    }

    /// Starts a gateway that should not come up, and gives its exit code and what it said.
    pub async fn fail_to_start(setup: &Setup) -> (Option<i32>, String) {
        let folder = write(setup);
        let (mut child, logs) = spawn(setup, &folder.path().join("portcullis.json"));
        let status = wait(&mut child, "the gateway gives up").await;
        logs.wait_ended().await;
        (status.code(), logs.text())
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// A new connection.
    pub async fn connect(&self) -> Client {
        in_time("a connection to the gateway", Client::connect(self.address)).await.unwrap()
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: Request) -> Response {
        self.connect().await.send(&request).await
    }

    /// Sends one GET request on a connection of its own.
    pub async fn get(&self, target: &str) -> Response {
        self.send(Request::get(target)).await
    }

    /// Asks the address for operators.
    pub async fn admin(&self, target: &str) -> Response {
        self.ask_admin(&Request::get(target)).await
    }

    /// Sends a request to the address for operators, with the token that the gateway made unless it says who asks.
    pub async fn ask_admin(&self, request: &Request) -> Response {
        let address = self.admin_address().await;
        let request = request.clone().host(&address.to_string());
        let request = match self.admin_token() {
            Some(token) if !request.has("Authorization") => request.bearer(&token),
            _ => request,
        };
        Client::connect(address).await.unwrap().send(&request).await
    }

    /// Sends a request to the address for operators as it is.
    pub async fn ask_admin_plainly(&self, request: &Request) -> Response {
        Client::connect(self.admin_address().await).await.unwrap().send(request).await
    }

    /// The token that the gateway made, if it made one.
    pub fn admin_token(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder().join("state/admin-token")).ok()?;
        Some(text.trim().to_owned())
    }

    /// The address for operators.
    pub async fn admin_address(&self) -> SocketAddr {
        let line = self.logs.wait_for("the admin address", |line| line.listening(true).is_some()).await;
        line.listening(true).unwrap()
    }

    /// The value of a metric; none where it is not there. `series` is its name with labels, as it is written.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").await;
        let line = text.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?.to_owned();
        line.trim().parse().ok()
    }

    /// The folder of its configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("portcullis.json")
    }

    /// Its configuration as it is on disk.
    pub fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.config_path()).unwrap()).unwrap()
    }

    /// Replaces the configuration file in one step.
    pub fn write_config(&self, text: impl AsRef<[u8]>) {
        replace(&self.config_path(), text.as_ref());
    }

    /// Changes the configuration file by a merge patch.
    pub fn patch_config(&self, patch: &Value) {
        let mut config = self.config();
        merge(&mut config, patch);
        self.write_config(config.to_string());
    }

    /// Puts a file into the plugin folder in one step, as a careful operator does.
    pub fn put_plugin(&self, name: &str, bytes: &[u8]) {
        replace(&self.plugin_path(name), bytes);
    }

    /// Takes a file out of the plugin folder.
    pub fn remove_plugin(&self, name: &str) {
        fs::remove_file(self.plugin_path(name)).unwrap();
    }

    /// A file in the plugin folder.
    pub fn plugin_path(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(name)
    }

    /// Asks until the answer is as wanted: for changes that show by themselves.
    pub async fn until(&self, what: &str, request: Request, wanted: impl Fn(&Response) -> bool) -> Response {
        eventually(what, || async {
            let response = self.send(request.clone()).await;
            wanted(&response).then_some(response)
        })
        .await
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own kill, so that no crate is needed for one system call.
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = wait(&mut self.child, "the end of the gateway").await;
        self.stopped = true;
        status
    }

    /// Asks it to stop and requires a clean end; gives everything it has written.
    pub async fn stop(mut self) -> Logs {
        self.signal("TERM");
        let status = self.ended().await;
        assert!(status.success(), "the gateway ended with {status}:\n{}", self.logs.text());
        self.logs.wait_ended().await;
        self.logs.clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its resident memory, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS in /proc");
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// How many descriptors it holds.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.logs.text());
        }
    }
}

fn write(setup: &Setup) -> TempDir {
    let folder = tempfile::Builder::new().prefix("portcullis-test-").tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for (name, bytes) in setup.files() {
        fs::write(folder.path().join("plugins").join(name), bytes).unwrap();
    }
    fs::write(folder.path().join("portcullis.json"), setup.config().to_string()).unwrap();
    folder
}

fn spawn(setup: &Setup, config: &Path) -> (Child, Logs) {
    let mut command = match setup.shell_line() {
        Some(line) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{line}; exec \"$0\" \"$@\"")).arg(artefacts::gateway());
            shell
        }
        None => Command::new(artefacts::gateway()),
    };
    command.arg("run").arg("--config").arg(config).env("PORTCULLIS_CACHE_DIR", artefacts::compiled());
    command.args(setup.arguments());
    for (name, value) in setup.variables() {
        command.env(name, value);
    }
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", artefacts::gateway().display()));
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    (child, Logs::of([Box::new(out), Box::new(err)]))
}

async fn wait(child: &mut Child, what: &str) -> ExitStatus {
    in_time(what, async {
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

fn replace(path: &Path, bytes: &[u8]) {
    let aside = path.with_extension("new");
    fs::write(&aside, bytes).unwrap();
    fs::rename(&aside, path).unwrap();
}
