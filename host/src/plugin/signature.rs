//! The types of the hooks' functions, written as in WIT, so that a wrong one can be shown beside the right one.

use wasmtime::component::ResourceType;
use wasmtime::component::types::{ComponentFunc, Type};

use crate::names::Hook;

/// The type that `wit/` gives a hook, with named types written out.
pub(super) const fn expected(hook: Hook) -> &'static str {
    match hook {
        Hook::Describe => {
            "func() -> record { name: string, version: string, summary: string, \
             requires: list<record { plugin: string, versions: string }>, \
             conflicts: list<record { plugin: string, versions: string }>, config-schema: string, grants: list<string> }"
        }
        Hook::Init => {
            "func(config: string) -> result<list<enum { pre-route, pre-handler, cache-key, cache-admit, post-handler, \
             post-response, on-error }>, string>"
        }
        Hook::PreRoute | Hook::PreHandler => {
            "func(request: borrow<request>) -> result<variant { next, respond(own<response>) }, string>"
        }
        Hook::CacheKey => {
            "func(request: borrow<request>) -> result<variant { next, extend(string), replace(string), bypass }, string>"
        }
        Hook::CacheAdmit => {
            "func(request: borrow<request>, response: borrow<response>) -> result<variant { next, no-store, \
             store(record { ttl-ms: u64, tags: list<string>, stale-while-revalidate-ms: u64, stale-if-error-ms: u64, \
             refresh-ahead-ms: u64 }) }, string>"
        }
        Hook::PostHandler => {
            "func(request: borrow<request>, response: borrow<response>) -> \
             result<variant { next, respond(own<response>) }, string>"
        }
        Hook::PostResponse => {
            "func(request: borrow<request>, response: borrow<response>, \
             summary: record { body-bytes: u64, duration: u64, complete: bool }) -> result<_, string>"
        }
        Hook::OnError => {
            "func(request: borrow<request>, error: record { fault: enum { downstream, upstream, plugin, internal }, \
             status: u16, reason: string, detail: string }) -> result<variant { next, respond(own<response>) }, string>"
        }
        Hook::Destroy => "func()",
    }
}

/// Writes a function's type; resources by the names under which the component imports them.
pub(super) fn write(func: &ComponentFunc, resources: &[(String, ResourceType)]) -> String {
    let writer = Writer(resources);
    let params: Vec<String> = func.params().map(|(name, ty)| format!("{name}: {}", writer.ty(&ty))).collect();
    let results: Vec<String> = func.results().map(|ty| format!(" -> {}", writer.ty(&ty))).collect();
    format!("func({}){}", params.join(", "), results.concat())
}

struct Writer<'a>(&'a [(String, ResourceType)]);

impl Writer<'_> {
    fn ty(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".into(),
            Type::S8 => "s8".into(),
            Type::U8 => "u8".into(),
            Type::S16 => "s16".into(),
            Type::U16 => "u16".into(),
            Type::S32 => "s32".into(),
            Type::U32 => "u32".into(),
            Type::S64 => "s64".into(),
            Type::U64 => "u64".into(),
            Type::Float32 => "f32".into(),
            Type::Float64 => "f64".into(),
            Type::Char => "char".into(),
            Type::String => "string".into(),
            Type::List(list) => format!("list<{}>", self.ty(&list.ty())),
            Type::Record(record) => {
                self.braces("record", record.fields().map(|field| format!("{}: {}", field.name, self.ty(&field.ty))))
            }
            Type::Tuple(tuple) => {
                let types: Vec<String> = tuple.types().map(|ty| self.ty(&ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            Type::Variant(variant) => self.braces("variant", variant.cases().map(|case| self.case(case.name, case.ty))),
            Type::Enum(names) => self.braces("enum", names.names().map(str::to_owned)),
            Type::Option(option) => format!("option<{}>", self.ty(&option.ty())),
            Type::Result(result) => match (result.ok(), result.err()) {
                (None, None) => "result".into(),
                (Some(ok), None) => format!("result<{}>", self.ty(&ok)),
                (ok, Some(err)) => {
                    let ok = ok.map_or_else(|| "_".to_owned(), |ok| self.ty(&ok));
                    format!("result<{ok}, {}>", self.ty(&err))
                }
            },
            Type::Flags(flags) => self.braces("flags", flags.names().map(str::to_owned)),
            Type::Own(resource) => format!("own<{}>", self.resource(resource)),
            Type::Borrow(resource) => format!("borrow<{}>", self.resource(resource)),
            Type::FixedLengthList(list) => format!("list<{}, {}>", self.ty(&list.ty()), list.len()),
            Type::Map(_) => "map".into(),
            Type::Future(_) => "future".into(),
            Type::Stream(_) => "stream".into(),
            Type::ErrorContext => "error-context".into(),
        }
    }

    fn case(&self, name: &str, ty: Option<Type>) -> String {
        ty.map_or_else(|| name.to_owned(), |ty| format!("{name}({})", self.ty(&ty)))
    }

    fn braces(&self, keyword: &str, parts: impl Iterator<Item = String>) -> String {
        format!("{keyword} {{ {} }}", parts.collect::<Vec<_>>().join(", "))
    }

    fn resource(&self, ty: &ResourceType) -> &str {
        self.0.iter().find(|(_, known)| known == ty).map_or("another-resource", |(name, _)| name)
    }
}
