//! A real Redis: servers, sentinels and clusters, each process in a folder of its own and gone with the value that stands for it.
//!
//! Needs Debian's packages `redis-server` and `redis-sentinel`, which `cargo xtask test` installs. Nothing is kept on disk.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::pebble::write_own_certificate;
use crate::{eventually, in_time};

/// A server, running or not.
pub struct RedisServer {
    process: Option<Child>,
    folder: TempDir,
    address: SocketAddr,
    arguments: Vec<String>,
    program: &'static str,
}

impl RedisServer {
    /// One that is not running yet. `arguments` are added to the command line.
    pub fn absent(arguments: &[&str]) -> Self {
        Self::new("redis-server", own_address(), arguments)
    }

    /// One that runs and answers.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut server = Self::absent(arguments);
        server.launch().await;
        server
    }

    /// One that speaks TLS only, with a certificate for `localhost` and 127.0.0.1. The issuer is in [`Self::ca`].
    pub async fn start_tls(arguments: &[&str]) -> Self {
        let mut server = Self::absent(arguments);
        write_own_certificate(&server.folder);
        let path = |name: &str| server.folder.path().join(name).display().to_string();
        let tls = [
            ("--tls-port", server.address.port().to_string()),
            ("--tls-cert-file", path("own.pem")),
            ("--tls-key-file", path("own.key")),
            ("--tls-ca-cert-file", path("ca.pem")),
            ("--tls-auth-clients", "no".to_owned()),
            ("--port", "0".to_owned()),
        ];
        server.arguments.extend(tls.into_iter().flat_map(|(key, value)| [key.to_owned(), value]));
        server.spawn();
        eventually("redis listens", || async { TcpStream::connect(server.address).await.ok() }).await;
        server
    }

    fn new(program: &'static str, address: SocketAddr, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("portcullis-redis-").tempdir().unwrap();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { process: None, folder, address, arguments, program }
    }

    /// Starts it, once more if it has been killed, and waits until it answers.
    pub async fn launch(&mut self) {
        self.spawn();
        eventually("redis answers", || async {
            let answer = self.try_command(&["PING"]).await.ok()?;
            (answer == "PONG" || answer.starts_with("-NOAUTH")).then_some(())
        })
        .await;
    }

    fn spawn(&mut self) {
        assert!(self.process.is_none(), "it is running already");
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(self.program);
        if self.program == "redis-sentinel" {
            command.arg(self.folder.path().join("sentinel.conf"));
        }
        command.args(["--port", &self.address.port().to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
        command.args(["--dir", &self.folder.path().display().to_string()]);
        if self.program == "redis-server" {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn();
        self.process =
            Some(process.unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask test`", self.program)));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL without TLS.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The certificate of who has issued its own, as PEM.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Ends it at once, without a word to anybody.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops it where it stands: its connections stay, and nothing is answered.
    pub fn stall(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::stall`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it is not running");
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// The answer to a command; an error with `-` before it, a list with one entry per line.
    pub async fn command(&self, words: &[&str]) -> String {
        in_time("an answer of redis", async { self.try_command(words).await.unwrap() }).await
    }

    async fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).await?;
        let mut stream = BufReader::new(stream);
        let mut lines: Vec<String> = Vec::new();
        let mut pending = 1;
        while pending > 0 {
            pending -= 1;
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let line = line.trim_end();
            match line.split_at_checked(1) {
                Some(("+" | ":", text)) => lines.push(text.to_owned()),
                Some(("-", _)) => lines.push(line.to_owned()),
                Some(("$", "-1")) => lines.push("(nil)".to_owned()),
                Some(("$", length)) => {
                    let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
                    stream.read_exact(&mut bytes).await?;
                    bytes.truncate(bytes.len() - 2);
                    lines.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                Some(("*", count)) => pending += count.parse::<usize>().unwrap(),
                _ => return Err(std::io::Error::other(format!("not RESP: {line:?}"))),
            }
        }
        Ok(lines.join("\n"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("the log of redis at {}:\n{log}", self.address);
        }
    }
}

/// A cluster of masters without replicas that serves what it can when one is gone.
pub struct RedisCluster {
    /// The nodes; each has a part of the slots, in order.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts so many nodes, makes them known to each other and waits until all of them agree.
    pub async fn start(count: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(Self::node().await);
        }
        for (index, node) in nodes.iter().enumerate() {
            let (first, after) = (16_384 * index / count, 16_384 * (index + 1) / count);
            let slots = [first.to_string(), (after - 1).to_string()];
            assert_eq!(node.command(&["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]]).await, "OK");
            assert_eq!(node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await, "OK");
        }
        let cluster = Self { nodes };
        for node in cluster.nodes.iter().skip(1) {
            cluster.introduce(node).await;
        }
        cluster.agreed().await;
        cluster
    }

    /// A node without slots that nobody knows.
    pub async fn node() -> RedisServer {
        let bus = own_address().port().to_string();
        // A node that is busy is not given up, however slow the machine is.
        let patience = ["--cluster-node-timeout", "3000", "--cluster-require-full-coverage", "no"];
        let enabled = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--protected-mode", "no"];
        let arguments: Vec<&str> = enabled.into_iter().chain(patience).collect();
        RedisServer::start(&arguments).await
    }

    /// Makes a node known to the first.
    pub async fn introduce(&self, node: &RedisServer) {
        let bus = node.arguments.iter().skip_while(|argument| *argument != "--cluster-port").nth(1).unwrap();
        let port = node.address.port().to_string();
        assert_eq!(self.nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await, "OK");
    }

    /// Waits until all nodes know each other and where all slots are.
    pub async fn agreed(&self) {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in &self.nodes {
            eventually("the cluster agrees", || async {
                let info = node.command(&["CLUSTER", "INFO"]).await;
                let whole = ["cluster_state:ok", "cluster_slots_ok:16384", &known];
                whole.iter().all(|line| info.contains(line)).then_some(())
            })
            .await;
        }
    }

    /// Adds a replica of a node, which takes its place when it dies, and waits until it has all that the node has.
    pub async fn add_replica(&mut self, of: usize) {
        let master = self.nodes[of].command(&["CLUSTER", "MYID"]).await;
        let replica = Self::node().await;
        self.introduce(&replica).await;
        self.nodes.push(replica);
        self.agreed().await;
        let replica = &self.nodes[self.nodes.len() - 1];
        assert_eq!(replica.command(&["CLUSTER", "REPLICATE", &master]).await, "OK");
        eventually("the replica follows", || async {
            replica.command(&["INFO", "replication"]).await.contains("master_link_status:up").then_some(())
        })
        .await;
    }

    /// Takes a node out, which goes on running by itself without slots. They are nobody's until somebody is given them.
    pub async fn dismiss(&mut self, index: usize) -> RedisServer {
        let gone = self.nodes.remove(index);
        let id = gone.command(&["CLUSTER", "MYID"]).await;
        for node in &self.nodes {
            assert_eq!(node.command(&["CLUSTER", "FORGET", &id]).await, "OK");
        }
        assert_eq!(gone.command(&["FLUSHALL"]).await, "OK");
        assert_eq!(gone.command(&["CLUSTER", "FLUSHSLOTS"]).await, "OK");
        gone
    }

    /// Moves a slot from one node to another.
    pub async fn move_slot(&self, slot: u16, to: usize) {
        let owner = self.nodes[to].command(&["CLUSTER", "MYID"]).await;
        for node in &self.nodes {
            assert_eq!(node.command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &owner]).await, "OK");
        }
    }
}

/// A master, its replica, and sentinels that watch over them.
pub struct RedisSentinels {
    /// The servers; the first is the master at the start.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// What the sentinels call the master.
    pub const MASTER: &'static str = "shared";

    /// Starts a master, a replica and so many sentinels, and waits until all of them know of each other.
    pub async fn start(count: usize) -> Self {
        let master = RedisServer::start(&[]).await;
        let port = master.address.port().to_string();
        let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]).await;
        eventually("the replica follows", || async {
            replica.command(&["INFO", "replication"]).await.contains("master_link_status:up").then_some(())
        })
        .await;
        let mut sentinels = Vec::new();
        for _ in 0..count {
            let mut sentinel = RedisServer::new("redis-sentinel", own_address(), &[]);
            let (name, quorum) = (Self::MASTER, count / 2 + 1);
            let text = format!(
                "sentinel monitor {name} 127.0.0.1 {port} {quorum}\nsentinel down-after-milliseconds {name} 1000\n\
                 sentinel failover-timeout {name} 5000\nprotected-mode no\n"
            );
            fs::write(sentinel.folder.path().join("sentinel.conf"), text).unwrap();
            sentinel.launch().await;
            sentinels.push(sentinel);
        }
        for sentinel in &sentinels {
            let others = format!("num-other-sentinels\n{}", count - 1);
            eventually("the sentinels know", || async {
                let known = sentinel.command(&["SENTINEL", "MASTER", Self::MASTER]).await;
                (known.contains("num-slaves\n1") && known.contains(&others)).then_some(())
            })
            .await;
        }
        Self { servers: vec![master, replica], sentinels }
    }
}

/// An address that stays ours while nobody listens there: below the ports that systems give to those who do not care, and not one that the
/// test beside us, which is another process, tries.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + u16::try_from(number % 20_000).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
