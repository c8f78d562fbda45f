//! The built files: the gateway, the plugins, the guests; and what can be done to a component to break it.
//!
//! `cargo xtask test` builds them and says where they are; without it they are looked for beside this test.

use std::fs;
use std::path::{Path, PathBuf};

/// The gateway's binary.
pub fn gateway() -> PathBuf {
    if let Some(told) = std::env::var_os("PORTCULLIS_BIN") {
        return PathBuf::from(told);
    }
    // target/debug/deps/e2e-… stands below target/debug/portcullis
    let here = std::env::current_exe().unwrap();
    let binary = here.ancestors().nth(2).unwrap().join(format!("portcullis{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.is_file(), "{} is missing: run `cargo xtask test`", binary.display());
    binary
}

/// A guest by name, such as `trace-order`.
pub fn guest(name: &str) -> Vec<u8> {
    component(&Path::new("examples").join(format!("{}.wasm", name.replace('-', "_"))))
}

/// A plugin that comes with the gateway, such as `jwt-auth`.
pub fn plugin(name: &str) -> Vec<u8> {
    component(Path::new(&format!("{}.wasm", name.replace('-', "_"))))
}

/// Where the gateways of the tests keep compiled components: beside them, not in somebody's home.
pub fn compiled() -> PathBuf {
    components().join("compiled")
}

fn component(name: &Path) -> Vec<u8> {
    let path = components().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask test`", path.display()))
}

fn components() -> PathBuf {
    if let Some(told) = std::env::var_os("PORTCULLIS_TEST_ARTEFACTS") {
        return PathBuf::from(told);
    }
    let here = std::env::current_exe().unwrap();
    let folders = here.ancestors().map(|folder| folder.join("wasm32-wasip2/plugin"));
    folders.into_iter().find(|folder| folder.is_dir()).expect("no built components: run `cargo xtask test`")
}

/// The guest `version` as version `number`.
pub fn version(number: u32) -> Vec<u8> {
    let mark = b"portcullis-guest-version-mark: ";
    let mut bytes = guest("version");
    let at = find(&bytes, mark).expect("the guest `version` has no mark") + mark.len();
    bytes[at..at + 8].copy_from_slice(format!("{number:08}").as_bytes());
    bytes
}

/// Ways in which a file in the plugin folder is not a plugin.
pub mod broken {
    use super::{find, guest};

    /// A component of which only the first half has been written.
    pub fn half() -> Vec<u8> {
        let mut bytes = guest("version");
        bytes.truncate(bytes.len() / 2);
        bytes
    }

    /// Not WebAssembly.
    pub fn text() -> Vec<u8> {
        b"this is not WebAssembly\n".to_vec()
    }

    /// Nothing.
    pub fn empty() -> Vec<u8> {
        Vec::new()
    }

    /// A WebAssembly module that is not a component.
    pub fn core_module() -> Vec<u8> {
        wat::parse_str("(module (func (export \"pre-handler\")))").unwrap()
    }

    /// The head of a compiled artefact of wasmtime: an ELF file with an ABI (200) and flags (2: a component) of its own. Its
    /// machine code must never be taken from a folder.
    pub fn precompiled() -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\xc8".to_vec();
        bytes.resize(4096, 0);
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &1_u16.to_le_bytes()); // relocatable
        put(20, &1_u32.to_le_bytes()); // version
        put(48, &2_u32.to_le_bytes()); // flags
        put(52, &64_u16.to_le_bytes()); // size of this head
        put(58, &64_u16.to_le_bytes()); // size of a section head
        bytes
    }

    /// A component for a contract of another version.
    pub fn other_contract() -> Vec<u8> {
        let mut bytes = guest("version");
        let (ours, other) = (b"@0.1.0", b"@0.9.0");
        while let Some(at) = find(&bytes, ours) {
            bytes[at..at + ours.len()].copy_from_slice(other);
        }
        bytes
    }

    /// A component that exports a hook of another type.
    pub fn wrong_type() -> Vec<u8> {
        let text = r#"(component
            (core module $code (func (export "f") (result i32) i32.const 0))
            (core instance $core (instantiate $code))
            (func $f (result u32) (canon lift (core func $core "f")))
            (instance $hook (export "pre-handler" (func $f)))
            (export "portcullis:plugin/pre-handler@0.1.0" (instance $hook)))"#;
        wat::parse_str(text).unwrap()
    }

    /// A component without any hook.
    pub fn no_hook() -> Vec<u8> {
        wat::parse_str("(component)").unwrap()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
