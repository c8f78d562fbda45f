//! Upstreams in trouble, against real sockets and scripted origins: retries, breaker, queue, total timeout, addresses that change.

use std::rc::Rc;
use std::time::Duration;

use ::http::{Method, StatusCode};
use bytes::Bytes;
use tokio::sync::Notify;

use super::origin::Step::{self, Await, Close, Read, Send};
use super::origin::{HEAD, Origin, run};
use super::tests::{OK, alice, answers, counts, get, refused, request, settings, text};
use super::*;
use crate::exchange::Reason;
use crate::http::test_bodies::chunks;
use crate::http::{Body, BodyError};

const BUSY: Step = Send("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy");
const MS: Duration = Duration::from_millis(1);

/// Retries after everything, up to twice.
fn retries() -> Retries {
    Retries {
        on: vec![Trigger::Connect, Trigger::Reset, Trigger::Timeout, Trigger::Status(StatusCode::SERVICE_UNAVAILABLE)],
        body_bytes_max: 16,
        backoff: Some(MS),
        ..Retries::default()
    }
}

fn guarded(endpoints: &[&Endpoint], guards: Guards) -> Upstreams {
    Upstreams::new(&[Settings { guards, ..settings(endpoints) }])
}

fn retrying(endpoints: &[&Endpoint], retries: Retries) -> Upstreams {
    guarded(endpoints, Guards { retries, ..Guards::default() })
}

async fn ask(upstreams: &Upstreams) -> Result<StatusCode, UpstreamError> {
    let sent = upstreams.send(0, &alice(), &get("/"), Body::Empty).await?;
    let status = sent.response.status;
    drop(text(sent.response.body).await);
    Ok(status)
}

#[test]
fn a_status_that_says_so_is_answered_elsewhere() {
    run(async {
        let (busy, fine) = (Origin::start(vec![vec![HEAD, BUSY]]).await, Origin::start(vec![answers(9)]).await);
        let both = [&busy.endpoint, &fine.endpoint];
        let upstreams = retrying(&both, retries());
        assert_eq!(ask(&upstreams).await.unwrap(), 200);
        assert_eq!((busy.accepted(), fine.accepted()), (1, 1));
        // By default a response is a response.
        assert_eq!(ask(&retrying(&both, Retries::default())).await.unwrap(), 503);
        // Only requests that may be repeated are.
        let post = request(Method::POST, "/", &[]);
        let asked = |upstreams: Upstreams| {
            let post = &post;
            async move { upstreams.send(0, &alice(), post, Body::Empty).await.unwrap().response.status }
        };
        assert_eq!(asked(retrying(&both, retries())).await, 503);
        let methods = Methods::Only(vec![Method::POST]);
        assert_eq!(asked(retrying(&both, Retries { methods, ..retries() })).await, 200);
    });
}

#[test]
fn one_endpoint_is_asked_again_after_a_wait_and_not_for_ever() {
    run(async {
        let second_time = Origin::start(vec![vec![HEAD, BUSY, Close], answers(1)]).await;
        assert_eq!(ask(&retrying(&[&second_time.endpoint], retries())).await.unwrap(), 200);
        assert_eq!(second_time.accepted(), 2);
        let never = Origin::start(vec![vec![HEAD, BUSY, Close]]).await;
        assert_eq!(ask(&retrying(&[&never.endpoint], retries())).await.unwrap(), 503);
        assert_eq!(never.accepted(), 3);
        // Without a connection likewise.
        let error = ask(&retrying(&[&refused()], retries())).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Connect { .. }), "{error}");
        // Who asks to be left alone for longer than we would wait is.
        let later = Send("HTTP/1.1 503 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n");
        let later = Origin::start(vec![vec![HEAD, later]]).await;
        assert_eq!(ask(&retrying(&[&later.endpoint], retries())).await.unwrap(), 503);
        assert_eq!(later.accepted(), 1);
    });
}

#[test]
fn retries_stay_within_their_budget() {
    run(async {
        let never = Origin::start(vec![vec![HEAD, BUSY, Close]]).await;
        let budget = BudgetSettings { percent: 50, per_second_min: 0 };
        let upstreams = retrying(&[&never.endpoint], Retries { budget, ..retries() });
        for _ in 0..10 {
            assert_eq!(ask(&upstreams).await.unwrap(), 503);
        }
        assert_eq!(never.accepted(), 15);
        let report = upstreams.board.report(time::now());
        assert_eq!(report[0].retries, [5, 10]);
        assert_eq!((report[0].endpoints[0].requests, report[0].endpoints[0].failures), (15, 15));
    });
}

#[test]
fn a_small_body_is_sent_again_whole() {
    run(async {
        let put = request(Method::PUT, "/", &[]);
        let whole = "2\r\n12\r\n3\r\n345\r\n0\r\n\r\n";
        // Broken off when some, and when all of it has come; and an early answer, before the rest of the body is read.
        for script in [vec![Read("12"), Close], vec![Read(whole), Close], vec![HEAD, BUSY, Read("never")]] {
            let (breaks, fine) = (Origin::start(vec![script]).await, Origin::start(vec![vec![Read(whole), OK]]).await);
            let upstreams = retrying(&[&breaks.endpoint, &fine.endpoint], retries());
            let sent = upstreams.send(0, &alice(), &put, chunks(&["12", "345"])).await.unwrap();
            assert_eq!((&*sent.endpoint, sent.response.status), (&fine.endpoint, StatusCode::OK));
            assert!(fine.received()[0].ends_with(whole));
        }
        // A body that is at hand keeps its length.
        let breaks = Origin::start(vec![vec![Read("345"), Close]]).await;
        let fine = Origin::start(vec![vec![Read("content-length: 5"), Read("12345"), OK]]).await;
        let upstreams = retrying(&[&breaks.endpoint, &fine.endpoint], retries());
        let body = || Body::from(Bytes::from_static(b"12345"));
        assert_eq!(upstreams.send(0, &alice(), &put, body()).await.unwrap().response.status, 200);
        // One that is too long to be kept is not, nor is one of a request that may not be repeated.
        let small = || retrying(&[&breaks.endpoint, &fine.endpoint], Retries { body_bytes_max: 4, ..retries() });
        for body in [body(), chunks(&["12", "345"])] {
            let error = small().send(0, &alice(), &put, body).await.unwrap_err();
            assert_eq!(error.reason(), Reason::UpstreamProtocol);
        }
        let upstreams = retrying(&[&breaks.endpoint, &fine.endpoint], retries());
        let error = upstreams.send(0, &alice(), &request(Method::POST, "/", &[]), body()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::UpstreamProtocol);
    });
}

#[test]
fn a_try_that_takes_too_long_is_made_elsewhere() {
    run(async {
        let (silent, fine) = (Origin::start(vec![vec![HEAD]]).await, Origin::start(vec![answers(1)]).await);
        let impatient = Retries { try_timeout: Some(30 * MS), ..retries() };
        let upstreams = retrying(&[&silent.endpoint, &fine.endpoint], impatient);
        assert_eq!(ask(&upstreams).await.unwrap(), 200);
        assert_eq!(counts(&upstreams), [(0, 0), (1, 1)]);
    });
}

#[test]
fn all_of_it_has_a_time_limit() {
    run(async {
        let guards = Guards { total_timeout: Some(50 * MS), retries: retries(), ..Guards::default() };
        let silent = Origin::start(vec![vec![HEAD]]).await;
        let ejection = Ejection { failures: 1, duration: Duration::from_secs(3600), ..Ejection::NEVER };
        let upstreams =
            Upstreams::new(&[Settings { guards: guards.clone(), ejection, ..settings(&[&silent.endpoint]) }]);
        let error = ask(&upstreams).await.unwrap_err();
        assert!(matches!(error, UpstreamError::TotalTimeout { .. }), "{error}");
        assert_eq!((error.reason(), counts(&upstreams)), (Reason::UpstreamTimeout, vec![(0, 0)]));
        // It speaks against the endpoint that was being asked.
        assert!(upstreams.list[0].fleet().members()[0].standing.is_ejected(time::now()));

        let half = Origin::start(vec![vec![HEAD, Send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123")]]).await;
        let upstreams = guarded(&[&half.endpoint], guards);
        let sent = upstreams.send(0, &alice(), &get("/"), Body::Empty).await.unwrap();
        assert!(matches!(text(sent.response.body).await, Err(BodyError::Late(_))));
        assert_eq!(counts(&upstreams), [(0, 0)]);
    });
}

#[test]
fn requests_wait_for_a_connection_in_their_order() {
    run(async {
        let go = Rc::new(Notify::new());
        let script = vec![HEAD, Await(Rc::clone(&go)), OK, HEAD, OK, HEAD, OK];
        let origin = Origin::start(vec![script]).await;
        let guards = Guards { pending: Pending { max: 2, timeout: 5000 * MS }, ..Guards::default() };
        let upstreams = Upstreams::new(&[Settings { connections_max: 1, guards, ..settings(&[&origin.endpoint]) }]);
        let order = std::cell::RefCell::new(Vec::new());
        let one = async |name: &'static str| {
            let result = ask(&upstreams).await;
            order.borrow_mut().push(name);
            result
        };
        let ((first, second, third), fourth) =
            tokio::join!(async { tokio::join!(one("first"), one("second"), one("third")) }, async {
                let refused = one("fourth").await;
                assert_eq!(upstreams.board.report(time::now())[0].pending, [2, 1]);
                go.notify_one();
                refused
            });
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        let error = fourth.unwrap_err();
        assert!(matches!(error, UpstreamError::QueueFull { max: 2 }), "{error}");
        assert_eq!(error.reason(), Reason::Overload);
        assert_eq!(*order.borrow(), ["fourth", "first", "second", "third"]);
        assert_eq!((origin.accepted(), upstreams.board.report(time::now())[0].pending), (1, [0, 1]));
    });
}

#[test]
fn who_waits_too_long_is_told() {
    run(async {
        let origin = Origin::start(vec![vec![HEAD]]).await;
        let guards = Guards { pending: Pending { max: 2, timeout: 30 * MS }, ..Guards::default() };
        let limits = Settings { connections_max: 1, response_timeout: 300 * MS, ..settings(&[&origin.endpoint]) };
        let upstreams = Upstreams::new(&[Settings { guards, ..limits }]);
        let (first, second) = tokio::join!(ask(&upstreams), ask(&upstreams));
        assert!(matches!(first.unwrap_err(), UpstreamError::ResponseTimeout { .. }));
        assert!(matches!(second.unwrap_err(), UpstreamError::QueueTimeout { .. }));
    });
}

#[test]
fn a_breaker_opens_lets_probes_pass_and_closes() {
    run(async {
        // Four bad answers, one bad probe, and then good ones.
        let mut script: Vec<Step> = (0..5).flat_map(|_| [HEAD, BUSY]).collect();
        script.extend(answers(9));
        let origin = Origin::start(vec![script]).await;
        let breaker = BreakerSettings {
            failure_percent: Some(50),
            slow: None,
            requests_min: 4,
            window: Duration::from_secs(60),
            open: 50 * MS,
            probes: 2,
        };
        let guards = Guards { breaker: Some(breaker), ..Guards::default() };
        let upstreams = guarded(&[&origin.endpoint], guards.clone());
        let told = |upstreams: &Upstreams| {
            let report = upstreams.board.report(time::now());
            (report[0].breakers_open, report[0].breaker)
        };
        for _ in 0..4 {
            assert_eq!(ask(&upstreams).await.unwrap(), 503);
        }
        let error = ask(&upstreams).await.unwrap_err();
        assert!(error.retry_after().is_some_and(|after| after <= 50 * MS), "{error}");
        assert_eq!((error.reason(), error.reason().status()), (Reason::CircuitOpen, StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(told(&upstreams), (1, [1, 1]));
        // It is the upstream's, also under another configuration.
        let upstreams = upstreams.rebuilt(&[Settings { guards, connections_max: 3, ..settings(&[&origin.endpoint]) }]);
        assert!(matches!(ask(&upstreams).await, Err(UpstreamError::Open { .. })));
        tokio::time::sleep(60 * MS).await;
        assert_eq!(ask(&upstreams).await.unwrap(), 503);
        assert!(matches!(ask(&upstreams).await, Err(UpstreamError::Open { .. })));
        tokio::time::sleep(60 * MS).await;
        for _ in 0..5 {
            assert_eq!(ask(&upstreams).await.unwrap(), 200);
        }
        assert_eq!(told(&upstreams), (0, [2, 3]));
    });
}

#[test]
fn an_endpoint_that_keeps_answering_with_errors_is_ejected_while_enough_are_left() {
    run(async {
        let script: Vec<Step> = (0..9).flat_map(|_| [HEAD, BUSY]).collect();
        let (one, two) = (Origin::start(vec![script.clone()]).await, Origin::start(vec![script]).await);
        let ejection = Ejection { errors: 2, duration: Duration::from_secs(3600), percent_max: 50, ..Ejection::NEVER };
        let upstreams = Upstreams::new(&[Settings { ejection, ..settings(&[&one.endpoint, &two.endpoint]) }]);
        for _ in 0..8 {
            assert_eq!(ask(&upstreams).await.unwrap(), 503);
        }
        let report = upstreams.board.report(time::now());
        let told: Vec<_> = report[0].endpoints.iter().map(|endpoint| (endpoint.requests, endpoint.ejected)).collect();
        assert_eq!(told, [(2, 1), (6, 0)]);
    });
}

#[test]
fn requests_follow_a_name_and_what_it_leaves_drains() {
    run(async {
        let go = Rc::new(Notify::new());
        let slow = Origin::start(vec![vec![HEAD, OK, HEAD, Await(Rc::clone(&go)), OK]]).await;
        let next = Origin::start(vec![answers(2)]).await;
        let name = Endpoint::Tcp { host: "app.internal".to_owned(), port: 80 };
        let upstreams =
            Upstreams::new(&[Settings { resolve_interval: Some(Duration::from_secs(30)), ..settings(&[&name]) }]);
        let whereabouts = upstreams.board.whereabouts(&"api".parse().unwrap());
        let at = |origin: &Origin| {
            let Endpoint::Tcp { port, .. } = origin.endpoint else { unreachable!() };
            std::net::SocketAddr::from(([127, 0, 0, 1], port))
        };
        whereabouts.note(&name, vec![at(&slow)]);
        assert_eq!(ask(&upstreams).await.unwrap(), 200);
        let old = upstreams.list[0].fleet();
        let (held, ()) = tokio::join!(ask(&upstreams), async {
            whereabouts.note(&name, vec![at(&next)]);
            assert_eq!(ask(&upstreams).await.unwrap(), 200);
            // The one that is under way there goes on.
            assert_eq!(old.members()[0].standing.pool.busy(), 1);
            let told = &upstreams.board.report(time::now())[0].endpoints;
            assert_eq!(told[0].endpoint, "app.internal:80 at 127.0.0.1");
            go.notify_one();
        });
        assert_eq!(held.unwrap(), 200);
        // Nobody else knows the old place any more: its connection ends with it.
        assert_eq!((Rc::strong_count(&old), next.accepted()), (1, 1));
        drop(old);
        assert_eq!((counts(&upstreams), upstreams.board.report(time::now())[0].endpoints.len()), (vec![(1, 1)], 1));
    });
}
