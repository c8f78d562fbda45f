//! What a gateway is started with: its configuration and the files in its plugin folder.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::artefacts;
use crate::gateway::Gateway;
use crate::origin::Origin;

/// A gateway that is about to be started. Without routes everything goes to the upstream `origin`.
#[derive(Debug, Clone)]
pub struct Setup {
    config: Value,
    files: Vec<(String, Vec<u8>)>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    shell: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// One worker, one listener, no plugins, no routes.
    pub fn new() -> Self {
        let config = json!({
            "workers": 1,
            "listeners": [{ "address": "127.0.0.1:0" }],
            "admin": { "address": "127.0.0.1:0" },
            "log": { "format": "json", "filter": "info" },
            "plugins": { "directory": "plugins", "chain": [] },
            "upstreams": {},
            "routes": [],
        });
        Self::of(config)
    }

    /// Exactly this configuration.
    pub fn of(config: Value) -> Self {
        Self { config, files: Vec::new(), environment: Vec::new(), arguments: Vec::new(), shell: None }
    }

    /// With this origin as the upstream `origin`.
    pub fn to(origin: &Origin) -> Self {
        Self::new().upstream("origin", origin.address())
    }

    /// With an upstream more.
    #[must_use]
    pub fn upstream(mut self, name: &str, address: SocketAddr) -> Self {
        self.config["upstreams"][name] = json!({ "endpoints": [address.to_string()] });
        self
    }

    /// With a route more.
    #[must_use]
    pub fn route(mut self, route: Value) -> Self {
        push(&mut self.config["routes"], route);
        self
    }

    /// With the guest `name` in the folder and at the end of the chain, configured like this.
    #[must_use]
    pub fn guest(self, name: &str, config: Value) -> Self {
        self.guest_as(name, name, json!({ "config": config }))
    }

    /// The same under another name and with more than a configuration in its chain entry.
    #[must_use]
    pub fn guest_as(self, plugin: &str, guest: &str, entry: Value) -> Self {
        self.file(&format!("{plugin}.wasm"), artefacts::guest(guest)).entry(plugin, entry)
    }

    /// With a plugin that comes with the gateway at the end of the chain.
    #[must_use]
    pub fn plugin(self, name: &str, entry: Value) -> Self {
        self.file(&format!("{name}.wasm"), artefacts::plugin(name)).entry(name, entry)
    }

    /// With an entry at the end of the chain. Its calls have more time than by default, because a machine that runs many tests
    /// at once may leave a call waiting; what never ends is ended by its fuel.
    #[must_use]
    pub fn entry(mut self, plugin: &str, entry: Value) -> Self {
        let mut whole = json!({ "plugin": plugin, "limits": { "timeout_ms": 5000 } });
        merge(&mut whole, &entry);
        push(&mut self.config["plugins"]["chain"], whole);
        self
    }

    /// With a file in the plugin folder.
    #[must_use]
    pub fn file(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), bytes));
        self
    }

    /// With the configuration changed by a merge patch (RFC 7396).
    #[must_use]
    pub fn patch(mut self, patch: &Value) -> Self {
        merge(&mut self.config, patch);
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With an argument more behind `portcullis run`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Started by a shell that does this first, such as `ulimit -f 100`.
    #[must_use]
    pub fn shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    /// What a shell does first, if one starts the gateway.
    pub fn shell_line(&self) -> Option<&str> {
        self.shell.as_deref()
    }

    /// The arguments behind `portcullis run`.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The configuration as it will be written.
    pub fn config(&self) -> Value {
        let mut config = self.config.clone();
        if config["routes"].as_array().is_some_and(Vec::is_empty) {
            push(&mut config["routes"], json!({ "name": "all", "proxy": { "upstream": "origin" } }));
        }
        config
    }

    /// Files of the plugin folder.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// Environment variables.
    pub fn variables(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Starts the gateway and waits until it listens.
    pub async fn start(&self) -> Gateway {
        Gateway::start(self).await
    }
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().expect("a list").push(item);
}

/// A merge patch: objects are merged, null removes, all else replaces.
pub fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let object = into.as_object_mut().expect("made one above");
    for (key, change) in changes {
        if change.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}
