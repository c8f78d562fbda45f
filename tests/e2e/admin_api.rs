//! The admin API is what its OpenAPI document says: with right input, with wrong input, without credentials.

use std::collections::BTreeMap;

use portcullis_tests::sample::{Dice, fitting, odd_text, spoilt};
use portcullis_tests::{Client, Gateway, Origin, Reply, Request, Response, Setup, Value, artefacts, json};

const READER: &str = "reader-token-0123456789";
const OPERATOR: &str = "operator-token-0123456789";
const ADMIN: &str = "admin-token-0123456789";

/// One operation of the document.
#[derive(Debug, Clone)]
struct Operation {
    method: String,
    path: String,
    role: String,
    what: Value,
}

/// A gateway that has one of everything, and what it says of its API.
struct World {
    gateway: Gateway,
    origin: Origin,
    document: Value,
}

impl World {
    async fn new() -> Self {
        let origin = Origin::start(|_| Reply::ok("hello").field("Cache-Control", "max-age=600")).await;
        let token = |name: &str, role: &str, token: &str| json!({ "name": name, "role": role, "token": token });
        let tokens =
            [token("reader", "read", READER), token("operator", "operate", OPERATOR), token("root", "admin", ADMIN)];
        let setup = Setup::to(&origin)
            .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
            .guest("version", json!({}))
            .guest("counts-calls", json!({}))
            .patch(&json!({ "admin": { "tokens": tokens } }));
        let gateway = setup.start().await;
        gateway.get("/").await;
        let document = gateway.ask_admin(&Request::get("/api/v1/openapi.json").bearer(READER)).await.json();
        Self { gateway, origin, document }
    }

    /// All operations; those that leave less behind come later.
    fn operations(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for (path, operations) in self.document["paths"].as_object().unwrap() {
            for (method, what) in operations.as_object().unwrap() {
                let role = what["x-role"].as_str().unwrap().to_owned();
                all.push(Operation { method: method.to_uppercase(), path: path.clone(), role, what: what.clone() });
            }
        }
        all.sort_by_key(|operation| match (operation.method.as_str(), operation.path.as_str()) {
            (_, "/api/v1/drain") => 9,
            ("DELETE", "/api/v1/plugins/{plugin}") => 8,
            ("DELETE", _) => 7,
            (_, "/api/v1/configuration/rollback") => 6,
            (_, "/api/v1/plugins/{plugin}/rollback") => 5,
            ("GET", path) if path.contains('{') => 3,
            ("GET", _) => 0,
            ("PUT", "/api/v1/configuration") => 1,
            _ => 2,
        });
        all
    }

    async fn look(&self, path: &str) -> Value {
        self.gateway.ask_admin(&Request::get(path).bearer(ADMIN)).await.json()
    }

    /// The path with something in place of each name, and the query that must be there.
    async fn target(&self, operation: &Operation) -> String {
        let mut path = operation.path.clone();
        let endpoint = self.origin.address().to_string().replace(':', "%3A");
        for (name, value) in
            [("plugin", "version"), ("upstream", "origin"), ("endpoint", &endpoint), ("address", "192.0.2.7")]
        {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        if path.contains("{id}") {
            let history = self.look("/api/v1/configuration/history").await;
            path = path.replace("{id}", &text(&history["versions"][0]["id"]));
        }
        let query: Vec<String> = operation.what["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["in"] == "query" && parameter["required"] == true)
            .map(|parameter| match parameter["name"].as_str().unwrap() {
                "url" => "url=http%3A%2F%2Fgateway.test%2F".to_owned(),
                name => format!("{name}={}", text(&fitting(&parameter["schema"], true))),
            })
            .collect();
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// What an operation takes: made from its schema, with names of things that are there.
    async fn body(&self, operation: &Operation) -> Option<(String, Vec<u8>)> {
        let content = operation.what["requestBody"]["content"].as_object()?;
        let (media, described) = content.iter().next()?;
        if media == "application/wasm" {
            return Some((media.clone(), artefacts::version(7)));
        }
        let mut value = fitting(&described["schema"], false);
        let known: [(&str, &str, Value); 11] = [
            ("", "document", self.look("/api/v1/configuration").await["document"].clone()),
            ("/bans", "address", "192.0.2.7".into()),
            ("/cache/purge", "tag", "news".into()),
            ("/configuration/rollback", "id", kept(&self.look("/api/v1/configuration/history").await)["id"].clone()),
            ("/explain", "url", "http://gateway.test/a".into()),
            ("/log", "filter", "info".into()),
            ("/mode", "mode", "normal".into()),
            ("/order", "order", json!(["version", "counts-calls"])),
            ("/plugins/{plugin}", "enabled", true.into()),
            (
                "/plugins/{plugin}/rollback",
                "hash",
                kept(&self.look("/api/v1/plugins/version/versions").await)["hash"].clone(),
            ),
            ("/endpoints/{endpoint}", "weight", 2.into()),
        ];
        for (path, key, with) in known {
            if operation.path.ends_with(path) && described["schema"]["properties"].get(key).is_some() {
                value[key] = with;
            }
        }
        Some((media.clone(), value.to_string().into_bytes()))
    }

    async fn request(&self, operation: &Operation) -> Request {
        let request = Request::new(&operation.method, &self.target(operation).await);
        match self.body(operation).await {
            Some((media, body)) => request.field("Content-Type", media).body(body),
            None => request,
        }
    }

    /// What is wrong with a response by what the document says.
    fn wrong(&self, operation: &Operation, response: &Response) -> Option<String> {
        let described = &operation.what["responses"][response.status.to_string()];
        if described.is_null() {
            return Some(format!("status {} is not documented", response.status));
        }
        let media = response.value("content-type").unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        let content = described["content"].as_object();
        let Some(schema) = content.and_then(|content| content.get(&media)).map(|described| &described["schema"]) else {
            return Some(format!("media type {media:?} is not documented for {}", response.status));
        };
        if !media.ends_with("json") {
            return None;
        }
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        let validator = jsonschema::options().build(&whole).unwrap();
        let value = response.json();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

/// Of the versions that are kept, one that does not serve, if there is one.
fn kept(versions: &Value) -> Value {
    let versions = versions["versions"].as_array().cloned().unwrap_or_default();
    let old = versions.iter().find(|version| version["current"] == false).or(versions.first());
    old.cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test]
async fn every_operation_does_what_is_documented() {
    let world = World::new().await;
    assert_eq!(world.document["openapi"], "3.1.0");
    let operations = world.operations();
    assert!(operations.len() >= 15, "{}", operations.len());
    for operation in &operations {
        let response = world.gateway.ask_admin(&world.request(operation).await.bearer(ADMIN)).await;
        let wrong = world.wrong(operation, &response);
        let said = response.text();
        assert!(wrong.is_none() && response.status < 300, "{} {}: {wrong:?}: {said}", operation.method, operation.path);
        assert_eq!(response.value("cache-control"), Some("no-store"));
        assert_eq!(response.value("x-content-type-options"), Some("nosniff"));
        // What is only tried out changes nothing.
        let tries = ["/validate", "/diff"].iter().any(|end| operation.path.ends_with(end));
        if operation.method != "GET" && operation.role != "read" && !tries {
            assert!(said.contains("survives_restart"), "{} {}: {said}", operation.method, operation.path);
        }
    }
    let mut gateway = world.gateway;
    assert!(gateway.ended().await.success(), "it was told to drain");
}

#[tokio::test]
async fn nobody_learns_anything_without_credentials_and_nobody_does_more_than_the_role_allows() {
    let world = World::new().await;
    for operation in world.operations() {
        let (request, name) = (world.request(&operation).await, format!("{} {}", operation.method, operation.path));
        let host = world.gateway.admin_address().await.to_string();
        let response = world.gateway.ask_admin_plainly(&request.clone().host(&host)).await;
        assert_eq!(response.status, 401, "{name}: {}", response.text());
        assert_eq!(world.wrong(&operation, &response), None, "{name}");
        assert!(response.value("www-authenticate").is_some(), "{name}");
        let response = world.gateway.ask_admin(&request.clone().bearer("not-a-token-of-anybody")).await;
        assert_eq!(response.status, 401, "{name}");
        let smaller = match operation.role.as_str() {
            "read" => None,
            "operate" => Some(READER),
            _ => Some(OPERATOR),
        };
        // Whoever is known is not slowed down by those who are not.
        let known = world.gateway.ask_admin(&Request::get("/api/v1/state").bearer(READER)).await;
        assert_eq!(known.status, 200);
        if let Some(token) = smaller {
            let response = world.gateway.ask_admin(&request.bearer(token)).await;
            assert_eq!((response.status, world.wrong(&operation, &response)), (403, None), "{name}");
        }
    }
    let nowhere = Request::get("/api/v1/nowhere").host(&world.gateway.admin_address().await.to_string());
    assert_eq!(world.gateway.ask_admin_plainly(&nowhere).await.status, 401, "who is not known learns of no paths");
    assert_eq!(world.gateway.ask_admin(&nowhere.bearer(READER)).await.status, 404);
}

/// An operation, and the target and body of a request that is right.
type Right = (Operation, String, Option<(String, Vec<u8>)>);

/// A request that is wrong somewhere, mostly; and the operation that it is for, if it is for one.
fn odd(world: &BTreeMap<usize, Right>, dice: &mut Dice) -> (Request, Option<usize>, bool) {
    let number = dice.below(world.len());
    let (operation, target, body) = &world[&number];
    let (mut target, mut method, mut meant) = (target.clone(), operation.method.clone(), Some(number));
    if dice.once_in(6) {
        let odd =
            ["%", "%ff", "%00", "%2e%2e%2f", "a%2Fb", "x".repeat(300).as_str(), "%F0%9F%98%80", "-"].map(str::to_owned);
        let parts: Vec<&str> = target.split('/').collect();
        let mut parts: Vec<String> = parts.into_iter().map(str::to_owned).collect();
        let last = parts.len() - 1;
        parts[last] = dice.one_of(&odd).clone();
        (target, meant) = (parts.join("/"), None);
    }
    if dice.once_in(6) {
        let odd = [
            "limit=0",
            "limit=-1",
            "limit=99999999999999999999",
            "url=%ff",
            "url",
            "x=1",
            "limit=1&limit=1",
            "&&&",
            "url=a%zz",
            "=",
            "seconds=0",
        ];
        let sign = if target.contains('?') { '&' } else { '?' };
        target = format!("{target}{sign}{}", dice.one_of(&odd));
    }
    if dice.once_in(8) {
        method =
            (*dice.one_of(&["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "HEAD"])).to_owned();
        meant = None;
    }
    let mut request = Request::new(&method, &target);
    if let Some((media, bytes)) = body {
        let media = if dice.once_in(8) {
            *dice.one_of(&["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""])
        } else {
            media.as_str()
        };
        request = request.field("Content-Type", media);
        let value = serde_json(bytes);
        request = match (dice.below(4), value) {
            (0, _) => request.body(odd_text(dice)),
            (1, _) => request.body(bytes.clone()),
            (_, Some(value)) => request.body(spoilt(&value, dice).to_string()),
            (_, None) => request.body(b"\0asm\x01\0\0\0".to_vec()),
        };
    } else if dice.once_in(4) {
        request = request.body(odd_text(dice));
    }
    if dice.once_in(8) {
        request = request.field("If-Match", *dice.one_of(&["*", "\"x\"", "x", "\"", "\"a\", \"b\"", "W/\"x\""]));
    }
    if dice.once_in(10) {
        request = request.field("Origin", *dice.one_of(&["http://evil.test", "null", ""]));
    }
    let request = match dice.below(10) {
        0 => request,
        1 => request.bearer("wrong"),
        2 => {
            request.field("Authorization", *dice.one_of(&["", "Bearer", "Basic YTpi", "Bearer \u{e9}", "Negotiate x"]))
        }
        3 | 4 => request.bearer(READER),
        5 | 6 => request.bearer(OPERATOR),
        _ => request.bearer(ADMIN),
    };
    (request, meant, method == "HEAD")
}

fn serde_json(bytes: &[u8]) -> Option<Value> {
    portcullis_tests::from_json(bytes).ok()
}

#[tokio::test]
async fn whatever_is_asked_is_answered_and_never_with_a_mistake_of_ours() {
    const REQUESTS: usize = 3000;
    let world = World::new().await;
    let mut operations = BTreeMap::new();
    for operation in world.operations() {
        // What ends the gateway, or what the others are about, is done by right requests only.
        if operation.path != "/api/v1/drain" && !(operation.method == "DELETE" && operation.path.ends_with("/{plugin}"))
        {
            let (target, body) = (world.target(&operation).await, world.body(&operation).await);
            operations.insert(operations.len(), (operation, target, body));
        }
    }
    let host = world.gateway.admin_address().await.to_string();
    let mut dice = Dice::new(20_261_121);
    let mut client = Client::connect(world.gateway.admin_address().await).await.unwrap();
    for number in 0..REQUESTS {
        let (request, meant, _) = odd(&operations, &mut dice);
        let request = request.host(&host);
        let response = match client.try_send(&request).await {
            Ok(response) => response,
            // The connection had been closed behind the answer before.
            Err(_) => {
                client = Client::connect(world.gateway.admin_address().await).await.unwrap();
                client.send(&request).await
            }
        };
        if response.status >= 400 && response.value("connection").is_some() {
            client = Client::connect(world.gateway.admin_address().await).await.unwrap();
        }
        let said = response.text();
        assert!(response.status < 500, "{number}: {request:?}: {} {said}", response.status);
        if let Some(operation) = meant.map(|number| &operations[&number].0) {
            assert_eq!(world.wrong(operation, &response), None, "{number}: {request:?}: {} {said}", response.status);
        } else {
            let usual = [200, 201, 202, 204, 400, 401, 403, 404, 405, 412, 413, 415, 422, 429];
            assert!(usual.contains(&response.status), "{number}: {request:?}: {} {said}", response.status);
        }
    }
    assert_eq!(world.gateway.ask_admin(&Request::get("/api/v1/state").bearer(READER)).await.status, 200);
    assert_eq!(world.gateway.ask_admin_plainly(&Request::get("/livez")).await.status, 200);
}
