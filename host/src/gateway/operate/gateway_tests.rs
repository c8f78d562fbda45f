//! Orders to a gateway that runs, with real sockets, files and plugins.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::JoinHandle;

use portcullis_tests::artefacts;
use portcullis_tests::{Client, Request, Response, Setup, eventually, json};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::gateway::{Gateway, Inherited, Source};

/// A gateway in this process.
pub(super) struct Running {
    pub(super) folder: TempDir,
    pub(super) operations: Operations,
    pub(super) address: SocketAddr,
    pub(super) control: Control,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        for (name, bytes) in setup.files() {
            fs::write(folder.path().join("plugins").join(name), bytes).unwrap();
        }
        fs::write(folder.path().join("portcullis.json"), setup.config().to_string()).unwrap();
        Self::on(folder, &[])
    }

    pub(super) fn on(folder: TempDir, overlays: &[&str]) -> Self {
        let source = Source {
            file: folder.path().join("portcullis.json"),
            overlays: overlays.iter().map(|name| folder.path().join(name)).collect(),
            environment: Box::new(|name| (name == "SECRET").then(|| "from the environment".to_owned())),
            workers: None,
        };
        let config = source.load().unwrap();
        let (control, orders) = Control::new();
        let gateway = Gateway::start(source, config, (control.clone(), orders), Inherited::default()).unwrap();
        let (address, operations) = (gateway.addresses()[0], gateway.operations().clone());
        let thread = std::thread::spawn(move || gateway.run());
        Self { folder, operations, address, control, thread: Some(thread) }
    }

    /// Ends it and starts another one on the same files.
    pub(super) fn restarted(mut self) -> Self {
        self.control.drain();
        self.thread.take().unwrap().join().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::on(folder, &[])
    }

    pub(super) async fn get(&self, target: &str) -> Response {
        Client::connect(self.address).await.unwrap().send(&Request::get(target)).await
    }

    pub(super) async fn says(&self) -> String {
        self.get("/").await.text().to_owned()
    }

    pub(super) async fn version(&self) -> Option<String> {
        self.get("/").await.value("x-version").map(str::to_owned)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn written(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file("portcullis.json")).unwrap()).unwrap()
    }

    pub(super) fn generation(&self) -> u64 {
        self.operations.generation().number
    }

    /// Waits until the watcher has told the gateway of everything so far: it is told of this, too.
    pub(super) async fn watched(&self) {
        let path = self.file("plugins/not-a-plugin.wasm");
        fs::write(&path, "nothing").unwrap();
        let plugin: Name = "not-a-plugin".parse().unwrap();
        eventually("the file is noticed", || async { self.operations.plugin(&plugin) }).await;
        fs::remove_file(&path).unwrap();
        let gone = || async { self.operations.plugin(&plugin).is_none().then_some(()) };
        eventually("that it is gone is noticed", gone).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.drain();
    }
}

pub(super) fn ticket(action: &str) -> Ticket {
    Ticket { actor: "alice".to_owned(), action: action.to_owned(), if_match: None }
}

pub(super) fn answering(body: &str) -> Value {
    json!({ "name": "all", "respond": { "body": body } })
}

pub(super) fn with_routes(document: &Value, body: &str) -> Value {
    let mut document = document.clone();
    document["routes"] = json!([answering(body)]);
    document
}

pub(super) fn plugin(name: &str) -> Name {
    name.parse().unwrap()
}

pub(super) fn enabled(enabled: bool) -> PluginEdit {
    PluginEdit { enabled: Some(json!(enabled)), ..PluginEdit::default() }
}

pub(super) fn problems(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(problems) => {
            problems.iter().map(|p| format!("{}: {}; {}\n", p.path, p.what, p.remedy)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_document_is_applied_kept_and_rolled_back_and_a_restart_changes_nothing() {
    let gateway = Running::start(&Setup::new().route(answering("one")));
    let before = gateway.operations.document();
    assert_eq!(before.survival, Survival::Survives);
    let wanted = with_routes(&before.document, "two");
    let difference = gateway.operations.diff(wanted.clone()).await.unwrap();
    assert_eq!(difference.changes.len(), 1);
    assert_eq!(difference.changes[0].path, "$.routes[0].respond.body");
    assert_eq!(gateway.says().await, "one", "looking changes nothing");

    let applied = gateway.operations.apply(ticket("say two"), wanted.clone()).await.unwrap();
    assert_eq!(gateway.says().await, "two", "it serves when the answer comes");
    assert_eq!((applied.generation, &applied.survival), (2, &Survival::Survives));
    assert_eq!((applied.changes, applied.notes), (difference.changes, Vec::<String>::new()));
    assert_eq!(gateway.written(), wanted);
    assert_eq!(gateway.operations.etag(), applied.etag);
    assert_ne!(before.etag, applied.etag);
    let again = gateway.operations.apply(ticket("say two again"), wanted).await.unwrap();
    assert_eq!((again.generation, again.changes.len()), (2, 0), "nothing to do");

    let gateway = gateway.restarted();
    assert_eq!(gateway.says().await, "two");
    assert_eq!(gateway.operations.etag(), applied.etag);
    let history = gateway.operations.history().await.unwrap();
    let told: Vec<_> = history.iter().map(|e| (e.by.as_str(), e.action.as_str(), e.current)).collect();
    assert_eq!(told, [("alice", "say two", true), ("file", "found in the main file", false)]);
    let (entry, document) = gateway.operations.history_entry(&history[1].id).await.unwrap();
    assert_eq!((entry.etag, document), (before.etag.clone(), before.document));

    gateway.operations.rollback(ticket("back"), &history[1].id).await.unwrap();
    assert_eq!((gateway.says().await, gateway.operations.etag()), ("one".to_owned(), before.etag));
    assert!(matches!(gateway.operations.rollback(ticket(""), "../x").await, Err(Refusal::Unknown(_))));
}

#[tokio::test]
async fn the_watcher_does_not_take_a_change_over_again_and_still_notices_those_of_others() {
    let gateway = Running::start(&Setup::new().route(answering("one")));
    let document = gateway.operations.document().document;
    gateway.operations.apply(ticket("two"), with_routes(&document, "two")).await.unwrap();
    gateway.watched().await;
    assert_eq!(gateway.generation(), 2);
    fs::write(gateway.file("portcullis.json"), with_routes(&document, "by hand").to_string()).unwrap();
    eventually("the change by hand", || async { (gateway.says().await == "by hand").then_some(()) }).await;
    assert_eq!(gateway.generation(), 3);
    let newest = || async {
        let history = gateway.operations.history().await.unwrap();
        (history[0].by == "file" && history[0].current).then_some(())
    };
    eventually("the history has it, too", newest).await;
}

#[tokio::test]
async fn what_somebody_edits_by_hand_is_not_overwritten() {
    let gateway = Running::start(&Setup::new().route(answering("one")));
    let document = gateway.operations.document().document;
    let wanted = with_routes(&document, "two");
    for text in ["{ half of it", r#"{"rotues": []}"#, &with_routes(&document, "${ABSENT}").to_string()] {
        fs::write(gateway.file("portcullis.json"), text).unwrap();
        let refusal = gateway.operations.apply(ticket("two"), wanted.clone()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Edited { .. }), "{text}: {refusal:?}");
        assert_eq!(fs::read_to_string(gateway.file("portcullis.json")).unwrap(), text);
    }
    assert!(gateway.operations.validate(wanted.clone()).await.is_ok(), "looking does no harm");
    // However it is written, it is what serves.
    fs::write(gateway.file("portcullis.json"), format!("\u{feff}{document:#}\n\n")).unwrap();
    gateway.operations.apply(ticket("two"), wanted).await.unwrap();
    assert_eq!(gateway.says().await, "two");
}

#[tokio::test]
async fn another_overlay_is_noticed_however_old_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let setup = Setup::new().route(answering("main"));
    fs::write(folder.path().join("portcullis.json"), setup.config().to_string()).unwrap();
    for release in ["40", "41"] {
        fs::create_dir_all(folder.path().join("releases").join(release)).unwrap();
        let overlay = json!({ "routes": [answering(release)] });
        fs::write(folder.path().join(format!("releases/{release}/overlay.json")), overlay.to_string()).unwrap();
    }
    let link = |release: &str| {
        std::os::unix::fs::symlink(format!("releases/{release}"), folder.path().join("new")).unwrap();
        fs::rename(folder.path().join("new"), folder.path().join("current")).unwrap();
    };
    link("40");
    // An order that begins in a later second than the files were changed in.
    let changed = crate::time::unix().as_secs();
    eventually("the next second", || async { (crate::time::unix().as_secs() > changed).then_some(()) }).await;
    let current = folder.path().join("current");
    let gateway = Running::on(folder, &["current/overlay.json"]);
    let mut document = gateway.operations.document().document;
    document["drain_timeout_ms"] = json!(1234);
    gateway.operations.apply(ticket("drain"), document).await.unwrap();
    assert_eq!(gateway.says().await, "40");
    std::os::unix::fs::symlink("releases/41", gateway.file("new")).unwrap();
    fs::rename(gateway.file("new"), current).unwrap();
    gateway.control.reload();
    eventually("the other overlay", || async { (gateway.says().await == "41").then_some(()) }).await;
}

#[tokio::test]
async fn of_two_who_saw_the_same_one_wins() {
    let gateway = Running::start(&Setup::new().route(answering("none")));
    let Shown { document, etag, .. } = gateway.operations.document();
    let change = |name: &'static str| {
        let ticket = Ticket { if_match: Some(format!("\"{etag}\"")), ..ticket(name) };
        gateway.operations.apply(ticket, with_routes(&document, name))
    };
    let (one, other) = tokio::join!(change("one"), change("other"));
    let (winner, loser) = match (one, other) {
        (Ok(_), Err(loser)) => ("one", loser),
        (Err(loser), Ok(_)) => ("other", loser),
        both => panic!("{both:?}"),
    };
    let Refusal::NotCurrent { etag: current } = loser else { panic!("{loser:?}") };
    assert_eq!(current, gateway.operations.etag());
    assert_eq!((gateway.says().await.as_str(), gateway.generation()), (winner, 2));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place_and_changes_nothing() {
    let gateway = Running::start(&Setup::new().route(answering("good")).file("version.wasm", artefacts::version(1)));
    let (document, before) =
        (gateway.operations.document().document, fs::read(gateway.file("portcullis.json")).unwrap());
    let mut wrong = document.clone();
    wrong["rotues"] = json!([]);
    wrong["routes"][0]["respond"]["status"] = json!("soon");
    let refusal = gateway.operations.apply(ticket("wrong"), wrong.clone()).await.unwrap_err();
    let told = problems(&refusal);
    assert!(told.contains("$.rotues: ") && told.contains("$.routes[0].respond.status: "), "{told}");
    assert_eq!(problems(&gateway.operations.validate(wrong).await.unwrap_err()), told);
    let mut misfit = document.clone();
    misfit["plugins"]["chain"] = json!([{ "plugin": "version", "config": { "word": 5 } }, { "plugin": "absent" }]);
    let told = problems(&gateway.operations.validate(misfit).await.unwrap_err());
    assert!(
        told.contains("$.plugins.chain[0].config.word: ") && told.contains("plugin absent: there is no absent.wasm"),
        "{told}"
    );
    assert!(gateway.operations.validate(document).await.is_ok());
    assert_eq!(fs::read(gateway.file("portcullis.json")).unwrap(), before);
    assert_eq!((gateway.says().await.as_str(), gateway.generation()), ("good", 1));
    assert_eq!(gateway.operations.history().await.unwrap().len(), 1, "only what was found at the start");
}

#[tokio::test]
async fn secrets_are_not_shown_and_not_lost() {
    let redis =
        json!({ "redis": { "url": "redis://127.0.0.1:1", "password": "hidden" }, "routes": [answering("${SECRET}")] });
    let gateway = Running::start(&Setup::new().patch(&redis));
    let shown = gateway.operations.document().document;
    assert_eq!(
        (&shown["redis"]["password"], &shown["routes"][0]["respond"]["body"]),
        (&json!(REDACTED), &json!("${SECRET}"))
    );
    let mut sent = shown.clone();
    sent["drain_timeout_ms"] = json!(1000);
    gateway.operations.apply(ticket("faster"), sent).await.unwrap();
    assert_eq!(gateway.written()["redis"]["password"], "hidden");
    assert_eq!(gateway.says().await, "from the environment");
    let mut moved = shown.clone();
    moved["redis"]["username"] = json!(REDACTED);
    assert!(
        problems(&gateway.operations.apply(ticket("moved"), moved).await.unwrap_err()).contains("$.redis.username")
    );
    let mut changed = shown;
    changed["redis"]["password"] = json!("other");
    let difference = gateway.operations.diff(changed).await.unwrap();
    let of_password = difference.changes.iter().find(|change| change.path == "$.redis.password").unwrap();
    assert_eq!(of_password.after, Some(json!(REDACTED)));
    assert_eq!(difference.restart_needed, ["$.redis"]);
    for entry in gateway.operations.history().await.unwrap() {
        let (_, document) = gateway.operations.history_entry(&entry.id).await.unwrap();
        assert!(!document.to_string().contains("hidden"));
    }
}

#[tokio::test]
async fn what_came_from_a_variable_or_a_file_is_not_told() {
    let setup = Setup::new().route(answering("a")).file("cors.wasm", artefacts::plugin("cors"));
    let gateway = Running::start(&setup.patch(&json!({ "plugins": { "unlisted": "ignore" } })));
    fs::write(gateway.file("token.txt"), "kept in a file, 0123456789\n").unwrap();
    let document = gateway.operations.document().document;
    let told = async |edit: &dyn Fn(&mut Value)| {
        let mut sent = document.clone();
        edit(&mut sent);
        let validated = problems(&gateway.operations.validate(sent.clone()).await.unwrap_err());
        assert_eq!(problems(&gateway.operations.apply(ticket("t"), sent).await.unwrap_err()), validated);
        assert!(!validated.contains("environment") && !validated.contains("kept in"), "{validated}");
        assert!(!validated.contains("0123456789") && !validated.contains("literally"), "{validated}");
        validated
    };
    let of_variable = told(&|sent| sent["addresses"] = json!({ "allow": ["${SECRET}"] })).await;
    assert!(of_variable.contains("\"${SECRET}\" is not a network"), "{of_variable}");
    let networks = told(&|sent| sent["addresses"] = json!({ "allow": [{ "file": "token.txt" }] })).await;
    assert!(networks.contains("token.txt, line 1: is not a network"), "{networks}");
    let cors = |header: Value| {
        move |sent: &mut Value| {
            let config = json!({ "origins": ["https://a.test"], "request_headers": [header] });
            sent["plugins"]["chain"] = json!([{ "plugin": "cors", "config": config }]);
        }
    };
    let of_plugin = told(&cors(json!("${SECRET}"))).await;
    assert!(of_plugin.contains("\"${SECRET}\" is neither a method nor"), "{of_plugin}");
    let of_file = told(&cors(json!({ "$file": "token.txt" }))).await;
    assert!(of_file.contains("\"{$file: token.txt}\" is neither a method nor"), "{of_file}");
    // A secret that is written in the document itself is one.
    let of_secret = told(&|sent| {
        sent["redis"] = json!({ "url": "redis://127.0.0.1:1", "password": "a secret literally" });
        cors(json!("a secret literally"))(sent);
    })
    .await;
    assert!(of_secret.contains("\"(redacted)\" is neither a method nor"));
}

#[tokio::test]
async fn what_an_overlay_says_is_not_changed_in_the_main_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("portcullis.json"), Setup::new().route(answering("main")).config().to_string())
        .unwrap();
    fs::write(folder.path().join("site.json"), json!({ "routes": [answering("overlay")] }).to_string()).unwrap();
    let gateway = Running::on(folder, &["site.json"]);
    let document = gateway.operations.document().document;
    let refusal = gateway.operations.apply(ticket("x"), with_routes(&document, "two")).await.unwrap_err();
    let Refusal::Overridden { path, overlay } = refusal else { panic!("{refusal:?}") };
    assert_eq!((path.as_str(), overlay), ("$.routes[0].respond.body", gateway.file("site.json")));
    let mut other = document;
    other["drain_timeout_ms"] = json!(1000);
    gateway.operations.apply(ticket("x"), other).await.unwrap();
    assert_eq!(gateway.says().await, "overlay");
}

#[tokio::test]
async fn a_file_that_must_not_be_replaced_is_not_and_the_answer_says_so() {
    let gateway = Running::start(&Setup::new().route(answering("one")));
    let file = gateway.file("portcullis.json");
    let before = fs::read(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let document = gateway.operations.document();
    let Survival::Lost(why) = document.survival else { panic!("{:?}", document.survival) };
    assert!(why.contains("read-only"), "{why}");
    let applied = gateway.operations.apply(ticket("two"), with_routes(&document.document, "two")).await.unwrap();
    assert_eq!(applied.survival, Survival::Lost(why));
    assert_eq!((gateway.says().await.as_str(), fs::read(&file).unwrap()), ("two", before));
    gateway.control.reload();
    gateway.watched().await;
    assert_eq!(gateway.says().await, "two", "reading the same file again is no change");
    let gateway = gateway.restarted();
    assert_eq!(gateway.says().await, "one");
}

#[tokio::test]
async fn without_a_state_folder_changes_are_made_and_the_answer_says_that_no_history_is_kept() {
    let gateway = Running::start(&Setup::new().route(answering("one")).patch(&json!({ "admin": null })));
    fs::write(gateway.file("state"), "a file").unwrap();
    let document = gateway.operations.document().document;
    let applied = gateway.operations.apply(ticket("two"), with_routes(&document, "two")).await.unwrap();
    assert_eq!((gateway.says().await.as_str(), &applied.survival), ("two", &Survival::Survives));
    assert!(applied.notes[0].contains("no history is kept"), "{:?}", applied.notes);
}
