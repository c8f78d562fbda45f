//! What webhooks are told, and what becomes of it where they do not listen.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;
use crate::alerts::{Bound, Change, Definition, Logged, Measure, Series, Severity, Transition};

fn transition(change: Change) -> Transition {
    let definition = Definition {
        name: "errors".parse().unwrap(),
        measure: Measure::Value(Series { metric: "a".to_owned(), labels: Vec::new() }),
        bound: Bound::Above(2.0),
        over: Duration::ZERO,
        hold: Duration::ZERO,
        cooldown: Duration::ZERO,
        severity: Severity::Critical,
        summary: "<{value}> & more".to_owned(),
        logged: Logged::No,
        webhooks: vec!["ops".parse().unwrap()],
        mode: Some(crate::modes::Mode::ServeStale),
    };
    let (fired, at) = (Duration::from_secs(1_000_000_000), Duration::from_secs(1_000_000_060));
    Transition { definition: Arc::new(definition), change, value: Some(2.5), bad: Some(2.5), fired, at }
}

#[test]
fn each_form_says_what_there_is_to_say() {
    let told = |form: Form, change| serde_json::from_slice::<Value>(&form.body(&transition(change))).unwrap();
    let plain = json!({
        "alert": "errors", "state": "firing", "severity": "critical", "summary": "<2.5> & more", "value": 2.5,
        "threshold": 2.0, "fired_at": "2001-09-09T01:46:40.000Z", "at": "2001-09-09T01:47:40.000Z", "mode": "serve_stale",
    });
    assert_eq!(told(Form::Json, Change::Fired), plain);
    let text = ":white_check_mark: *errors* is resolved (critical): &lt;2.5&gt; &amp; more";
    assert_eq!(told(Form::Slack, Change::Resolved), json!({ "text": text }));
    let alert = |ends: &str| {
        json!([{
            "labels": { "alertname": "errors", "severity": "critical", "job": "portcullis" },
            "annotations": { "summary": "<2.5> & more" },
            "startsAt": "2001-09-09T01:46:40.000Z",
            "endsAt": ends,
        }])
    };
    assert_eq!(told(Form::Alertmanager, Change::Resolved), alert("2001-09-09T01:47:40.000Z"));
    assert_eq!(told(Form::Alertmanager, Change::Fired), alert("2002-09-09T01:47:40.000Z"));
}

fn webhook(address: std::net::SocketAddr, retries: u32) -> Arc<Webhook> {
    Arc::new(Webhook {
        name: "ops".parse().unwrap(),
        url: format!("http://{address}/hook").parse().unwrap(),
        headers: HeaderMap::from_iter([(http::header::AUTHORIZATION, "secret".parse().unwrap())]),
        form: Form::Json,
        timeout: Duration::from_secs(5),
        retries,
        retry_wait: Duration::from_millis(1),
        trust: None,
    })
}

/// Answers each connection with the next of these, and gives what was asked.
async fn receive(listener: TcpListener, answers: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"}") {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            text.extend_from_slice(&piece[..count]);
        }
        seen.push(String::from_utf8(text).unwrap());
        stream
            .write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
    }
    seen
}

#[tokio::test]
async fn what_is_not_taken_is_told_again_and_in_order() {
    LocalSet::new()
        .run_until(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut post = Post::default();
            post.adopt(&[webhook(listener.local_addr().unwrap(), 2)]);
            post.tell(&transition(Change::Fired));
            post.tell(&transition(Change::Resolved));
            let seen = receive(listener, &["500 No", "503 No", "200 OK", "204 OK"]).await;
            let states: Vec<_> = seen.iter().map(|text| text.contains("\"state\":\"firing\"")).collect();
            assert_eq!(states, [true, true, true, false]);
            assert!(
                seen[0].starts_with("POST /hook HTTP/1.1\r\n") && seen[0].contains("authorization: secret"),
                "{seen:?}"
            );
            let (_, counted) = post.counted().remove(0);
            while counted.sent.load(Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            assert_eq!((counted.failed.load(Relaxed), counted.dropped.load(Relaxed)), (0, 0));
        })
        .await;
}

#[tokio::test]
async fn nobody_waits_for_one_that_is_dead_and_what_is_too_much_is_counted() {
    LocalSet::new()
        .run_until(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut post = Post::default();
            post.adopt(&[webhook(address, 1)]);
            // Accepts, but is never answered: everything behind the first waits, until nothing more fits.
            for _ in 0..300 {
                post.tell(&transition(Change::Fired));
            }
            let (_, counted) = post.counted().remove(0);
            assert_eq!(counted.dropped.load(Relaxed), 300 - 256);
            // Where it is somewhere else, what waits goes there, and is given up when nobody is there.
            drop(listener);
            post.adopt(&[webhook(address, 0)]);
            assert_eq!(post.counted().remove(0).1.failed.load(Relaxed), 0);
            while counted.failed.load(Relaxed) < 256 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(counted.dropped.load(Relaxed), 300 - 256);
            assert_eq!(format!("{:?}", webhook(address, 0)), "Webhook(ops, Json)");
        })
        .await;
}
