//! One plugin file: checked, compiled, looked at. Independent of any configuration.
//!
//! Everything that can be wrong with a file is found here, before a request ever meets it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use semver::{Version, VersionReq};
use serde_json::Value;
use sha2::{Digest, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ResourceType};
use wasmtime::{Engine, Store};

use super::contract::exports::portcullis::plugin::describe;
use super::error::LoadError;
use super::instance::{Budget, guarded};
use super::schema::Schema;
use super::services::Services;
use super::state::State;
use super::{Limits, compiled, hosts, names, signature};
use crate::names::{Grant, Hook, Name};

/// What identifies a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub(super) [u8; 32]);

impl ContentHash {
    /// The SHA-256 of a file's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Another plugin that this one wants before it, or not at all.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its described name.
    pub plugin: String,
    /// Which versions of it.
    pub versions: VersionReq,
}

/// What a plugin says of itself.
#[derive(Debug, Clone)]
pub struct Description {
    /// What other plugins call it.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// One sentence.
    pub summary: String,
    /// Plugins that must stand earlier in the chain.
    pub requires: Vec<Relation>,
    /// Plugins that must not be in the same chain.
    pub conflicts: Vec<Relation>,
    /// The JSON Schema of its configuration.
    pub config_schema: Option<Value>,
    /// The grants it asks for; with `?` behind those that it can do without.
    pub grants: Vec<String>,
}

/// A checked and compiled plugin file.
pub struct Code {
    pub(super) component: Component,
    /// What identifies its content.
    pub hash: ContentHash,
    /// The file's content.
    pub bytes: Arc<[u8]>,
    /// The hooks it exports, with the exported names.
    pub hooks: BTreeMap<Hook, String>,
    /// The capabilities it imports, with the imported names.
    pub capabilities: BTreeMap<Grant, String>,
    /// Everything it imports.
    pub imports: Vec<String>,
    /// What it says of itself.
    pub description: Description,
    /// The schema that its configuration is held against.
    pub(super) schema: Option<Schema>,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} {}, {})", self.description.name, self.description.version, self.hash)
    }
}

impl Code {
    /// Checks and compiles a file's content. Takes about a second per MB of Wasm; not for a worker thread.
    /// `name` is what the plugin is called where it does not describe itself.
    pub fn load(services: &Arc<Services>, name: &Name, bytes: &[u8]) -> Result<Self, LoadError> {
        check_header(bytes)?;
        let engine = &services.engine;
        let hash = ContentHash::of(bytes);
        let component = compiled::component(engine, hash, bytes).map_err(|error| LoadError::Invalid(flat(&error)))?;
        let (imports, capabilities) = check_imports(engine, &component)?;
        let hooks = check_exports(engine, &component)?;
        let look = Look { services, name, component: &component };
        let description = look.describe(hooks.contains_key(&Hook::Describe))?;
        let schema = description.config_schema.clone().map(Schema::new).transpose();
        let schema = schema.map_err(|error| LoadError::Describe(format!("gives a schema that is none: {error}")))?;
        // So that the first request does not pay for it.
        let image = component.initialize_copy_on_write_image();
        image.map_err(|error| LoadError::Instantiate(flat(&error)))?;
        Ok(Self { component, hash, bytes: bytes.into(), hooks, capabilities, imports, description, schema })
    }

    /// Whether it has a hook.
    pub fn has(&self, hook: Hook) -> bool {
        self.hooks.contains_key(&hook)
    }

    /// Whether it says that it can do without this grant: its description asks for it with `?`.
    pub fn does_without(&self, grant: Grant) -> bool {
        self.description.grants.iter().any(|asked| asked.strip_suffix('?') == Some(grant.as_str()))
    }
}

/// An error with its causes on one line.
pub(super) fn flat(error: &wasmtime::Error) -> String {
    let mut text = String::new();
    for (index, cause) in error.chain().enumerate() {
        let _ = write!(text, "{}{cause}", if index == 0 { "" } else { ": " });
    }
    text
}

/// Tells what a file is from its first bytes, so that the common mistakes get their own message.
fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    // Precompiled code is an ELF file; other ELF files are native code, too.
    if Engine::detect_precompiled(bytes).is_some() || bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::Precompiled);
    }
    match (bytes.get(..4), bytes.get(4..8)) {
        (Some(b"\0asm"), Some([1, 0, 0, 0])) => Err(LoadError::CoreModule),
        (Some(b"\0asm"), Some(_)) => Ok(()),
        (Some(b"\0asm"), None) => Err(LoadError::Incomplete(bytes.len())),
        (Some(_), _) => Err(LoadError::NotWasm),
        (None, _) => Err(LoadError::Incomplete(bytes.len())),
    }
}

type Imports = (Vec<String>, BTreeMap<Grant, String>);

fn check_imports(engine: &Engine, component: &Component) -> Result<Imports, LoadError> {
    let mut all = Vec::new();
    let mut capabilities = BTreeMap::new();
    for (name, _) in component.component_type().imports(engine) {
        all.push(name.to_owned());
        let Some(import) = names::parse(name) else {
            if hosts::is_inert(name) {
                continue;
            }
            return Err(LoadError::UnknownImport { name: name.to_owned() });
        };
        if !import.is_spoken() {
            return Err(LoadError::ContractVersion { name: name.to_owned() });
        }
        match Grant::from_name(import.interface) {
            Some(grant) => {
                capabilities.insert(grant, name.to_owned());
            }
            None if matches!(import.interface, "types" | "headers") => {}
            None => return Err(LoadError::UnknownInterface { name: name.to_owned() }),
        }
    }
    Ok((all, capabilities))
}

fn check_exports(engine: &Engine, component: &Component) -> Result<BTreeMap<Hook, String>, LoadError> {
    let resources = resources(engine, component);
    let mut hooks = BTreeMap::new();
    for (name, item) in component.component_type().exports(engine) {
        let Some(export) = names::parse(name) else { continue };
        if !export.is_spoken() {
            return Err(LoadError::ContractVersion { name: name.to_owned() });
        }
        let Some(hook) = Hook::ALL.into_iter().find(|hook| hook.as_str() == export.interface) else {
            return Err(LoadError::UnknownInterface { name: name.to_owned() });
        };
        let found = match item.ty {
            ComponentItem::ComponentInstance(instance) => match instance.get_export(engine, hook.as_str()) {
                Some(function) => match function.ty {
                    ComponentItem::ComponentFunc(func) => signature::write(&func, &resources),
                    _ => format!("`{hook}` is not a function"),
                },
                None => format!("an interface without a function `{hook}`"),
            },
            _ => "not an interface".to_owned(),
        };
        let expected = signature::expected(hook);
        if found != expected {
            return Err(LoadError::WrongType { name: name.to_owned(), found, expected });
        }
        hooks.insert(hook, name.to_owned());
    }
    let useful = |hook: &Hook| !matches!(hook, Hook::Describe | Hook::Init | Hook::Destroy);
    if hooks.keys().any(useful) { Ok(hooks) } else { Err(LoadError::NoHooks) }
}

/// The resources that the component imports from the contract, by name.
fn resources(engine: &Engine, component: &Component) -> Vec<(String, ResourceType)> {
    let mut found = Vec::new();
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        if names::parse(name).is_none_or(|import| import.interface != "types") {
            continue;
        }
        for (name, item) in instance.exports(engine) {
            if let ComponentItem::Resource(ty) = item.ty {
                found.push((name.to_owned(), ty));
            }
        }
    }
    found
}

/// A look at a component in an instance that nothing was granted to.
struct Look<'a> {
    services: &'a Arc<Services>,
    name: &'a Name,
    component: &'a Component,
}

impl Look<'_> {
    fn describe(&self, described: Described) -> Result<Description, LoadError> {
        let instantiate = |error: wasmtime::Error| LoadError::Instantiate(flat(&error));
        let engine = &self.services.engine;
        let linker = hosts::link_for_a_look(engine, self.component).map_err(instantiate)?;
        let pre = linker.instantiate_pre(self.component).map_err(instantiate)?;
        if !described {
            return Ok(undescribed(self.name));
        }
        let limits = Arc::new(Limits::default());
        let budget = Budget::init(&limits);
        let kv = self.services.kv.namespace(self.name, 0);
        let state = State::new(self.name.clone(), Arc::clone(self.services), kv, limits);
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        let raw = guarded(&mut store, budget, |store| {
            let instance = pre.instantiate(&mut *store)?;
            let guest = describe::GuestIndices::new(&pre)?.load(&mut *store, &instance)?;
            guest.call_describe(store)
        });
        let raw = raw.map_err(|error| LoadError::Describe(error.to_string()))?;
        description(raw).map_err(LoadError::Describe)
    }
}

type Described = bool;

fn undescribed(name: &Name) -> Description {
    Description {
        name: name.to_string(),
        version: Version::new(0, 0, 0),
        summary: String::new(),
        requires: Vec::new(),
        conflicts: Vec::new(),
        config_schema: None,
        grants: Vec::new(),
    }
}

fn description(raw: describe::Description) -> Result<Description, String> {
    let version = raw.version.parse().map_err(|error| format!("gives the version {:?}: {error}", raw.version))?;
    let config_schema = match raw.config_schema.trim() {
        "" => None,
        text => Some(serde_json::from_str(text).map_err(|error| format!("gives a schema that is not JSON: {error}"))?),
    };
    Ok(Description {
        name: raw.name,
        version,
        summary: raw.summary,
        requires: relations(raw.requires)?,
        conflicts: relations(raw.conflicts)?,
        config_schema,
        grants: raw.grants.into_iter().collect::<BTreeSet<_>>().into_iter().collect(),
    })
}

fn relations(raw: Vec<describe::Relation>) -> Result<Vec<Relation>, String> {
    let one = |relation: describe::Relation| match relation.versions.parse() {
        Ok(versions) => Ok(Relation { plugin: relation.plugin, versions }),
        Err(error) => {
            Err(format!("names {:?} with the version range {:?}: {error}", relation.plugin, relation.versions))
        }
    };
    raw.into_iter().map(one).collect()
}
