//! What the gateway's process writes, line by line, as it comes.
//!
//! The only place that knows how a log line looks: one JSON object with its fields in `fields` or flat, or plain text.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::in_time;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    raw: String,
    json: Option<Value>,
}

impl Line {
    fn new(raw: String) -> Self {
        let json = serde_json::from_str(&raw).ok().filter(Value::is_object);
        Self { raw, json }
    }

    /// The line as it came.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// A field as text.
    pub fn field(&self, name: &str) -> Option<String> {
        let json = self.json.as_ref()?;
        match json.get("fields").and_then(|fields| fields.get(name)).or_else(|| json.get(name))? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The message; the whole line where it is plain text.
    pub fn message(&self) -> String {
        self.field("message").unwrap_or_else(|| self.raw.clone())
    }

    /// The level in capitals.
    pub fn level(&self) -> String {
        self.field("level").unwrap_or_default().to_uppercase()
    }

    /// Whether all of these words stand somewhere in the line.
    pub fn says(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.raw.contains(word))
    }

    /// The address for clients or for operators that this line announces.
    pub fn listening(&self, admin: bool) -> Option<SocketAddr> {
        let expected = if admin { "admin listening" } else { "listening" };
        if self.message() == expected { self.field("address")?.parse().ok() } else { None }
    }
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    ended: usize,
}

/// Everything that a process has written to its two outputs.
#[derive(Clone)]
pub struct Logs(Arc<watch::Sender<State>>);

impl Logs {
    /// Reads both outputs to their ends, each on a thread of its own.
    pub fn of(outputs: [Box<dyn Read + Send>; 2]) -> Self {
        let logs = Self(Arc::new(watch::Sender::new(State::default())));
        for output in outputs {
            let to = logs.0.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    let line = Line::new(String::from_utf8_lossy(&line).into_owned());
                    to.send_modify(|state| state.lines.push(line));
                }
                to.send_modify(|state| state.ended += 1);
            });
        }
        logs
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }

    /// Where the log stands now. Lines after it are those that come later.
    pub fn mark(&self) -> usize {
        self.0.borrow().lines.len()
    }

    /// The first line that `wanted` takes, past or to come.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Line) -> bool) -> Line {
        self.wait_after(0, what, wanted).await
    }

    /// The same among the lines after `mark`.
    pub async fn wait_after(&self, mark: usize, what: &str, wanted: impl Fn(&Line) -> bool) -> Line {
        let mut watching = self.0.subscribe();
        let find = |state: &State| state.lines[mark..].iter().find(|line| wanted(line)).cloned();
        let ready = |state: &State| find(state).is_some() || state.ended == 2;
        let line = in_time(what, async { find(&watching.wait_for(ready).await.unwrap()) }).await;
        line.unwrap_or_else(|| panic!("{what}: not in the log of a process that has ended:\n{}", self.text()))
    }

    /// The same for a line that holds all of these words.
    pub async fn wait_for_words(&self, mark: usize, words: &[&str]) -> Line {
        self.wait_after(mark, &format!("a log line with {words:?}"), |line| line.says(words)).await
    }

    /// Waits until the process has closed both outputs.
    pub async fn wait_ended(&self) {
        let mut watching = self.0.subscribe();
        let _ = in_time("the end of the log", watching.wait_for(|state| state.ended == 2)).await;
    }

    /// How many lines hold all of these words.
    pub fn count(&self, words: &[&str]) -> usize {
        self.0.borrow().lines.iter().filter(|line| line.says(words)).count()
    }

    /// Everything, for people.
    pub fn text(&self) -> String {
        self.0.borrow().lines.iter().map(|line| format!("  {}\n", line.raw)).collect()
    }
}
