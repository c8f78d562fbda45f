//! How requests are spread over endpoints, and endpoints that go away and come back under load: no client notices where a request
//! may be sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_tests::{Gateway, Load, Origin, Reply, Request, Setup, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// A server that can be killed with all its connections, and started again at its address.
struct Mortal {
    address: SocketAddr,
    answered: Arc<AtomicUsize>,
    life: Option<tokio::task::JoinHandle<()>>,
}

impl Mortal {
    async fn born() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answered) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let life = Some(tokio::spawn(live(listener, Arc::clone(&answered))));
        Self { address, answered, life }
    }

    /// Ends in the middle of whatever it does; its connections are reset.
    async fn die(&mut self) {
        let life = self.life.take().unwrap();
        life.abort();
        let _ = life.await;
    }

    fn revive(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.life = Some(tokio::spawn(live(socket.listen(128).unwrap(), Arc::clone(&self.answered))));
    }
}

async fn live(listener: TcpListener, answered: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&answered)));
    }
}

async fn answer(mut stream: TcpStream, answered: Arc<AtomicUsize>) {
    stream.set_zero_linger().unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        read.extend_from_slice(&buffer[..length]);
        while let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            read.drain(..at + 4);
            answered.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive").await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn endpoints_die_and_are_revived_and_no_client_notices() {
    let upstream = json!({ "ejection_failures": 2, "ejection_ms": 100 });
    die_under_load(&Request::get("/"), upstream).await;
}

#[tokio::test]
async fn requests_with_bodies_survive_the_death_of_their_endpoint_where_they_may_be_sent_again() {
    let retries = json!({ "on": ["connect", "reset", "503"], "methods": ["POST"], "budget_percent": 100 });
    let health = json!({ "interval_ms": 50, "unhealthy_after": 1 });
    let upstream = json!({ "balance": "p2c", "retries": retries, "health": health, "slow_start_ms": 50 });
    die_under_load(&Request::post("/", "a body"), upstream).await;
}

/// Sends requests while one endpoint after the other dies and is revived; all must be answered.
async fn die_under_load(request: &Request, upstream: Value) {
    let mut mortals = [Mortal::born().await, Mortal::born().await, Mortal::born().await];
    let endpoints: Vec<String> = mortals.iter().map(|mortal| mortal.address.to_string()).collect();
    let setup = Setup::new().patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints } }, "workers": 2 }));
    let gateway = setup.patch(&json!({ "upstreams": { "origin": upstream } })).start().await;
    let load = Load::start(&gateway, 8, request, |response| match response.status {
        200 => Ok(()),
        other => Err(other.to_string()),
    });
    load.more(100).await;
    for round in 0..6 {
        let mortal = &mut mortals[round % 3];
        mortal.die().await;
        load.more(200).await;
        mortal.revive();
        let (before, revived) = (mortal.answered.load(Ordering::Relaxed), Arc::clone(&mortal.answered));
        portcullis_tests::eventually("the revived endpoint is asked again", || async {
            (revived.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }
    load.stop().await.expect_clean(1000);
}

#[tokio::test]
async fn an_upstream_that_fails_is_left_alone_and_asked_again_when_it_has_recovered() {
    let (ill, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (state, count) = (Arc::clone(&ill), Arc::clone(&asked));
    let origin = Origin::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        if state.load(Ordering::SeqCst) { Reply::new(500, "ill") } else { Reply::ok("well") }
    })
    .await;
    let breaker = json!({ "failure_percent": 50, "requests_min": 5, "open_ms": 1500, "probes": 2 });
    let patch = json!({ "upstreams": { "origin": { "breaker": breaker } } });
    let gateway = Setup::to(&origin).patch(&patch).start().await;
    let mut client = gateway.connect().await;
    for _ in 0..5 {
        assert_eq!(client.send(&Request::get("/")).await.text(), "ill");
    }
    gateway.logs().wait_for_words(0, &["breaker opens", "origin"]).await;
    let refused = client.send(&Request::get("/")).await;
    assert_eq!((refused.status, refused.value("retry-after")), (503, Some("2")));
    assert_eq!(refused.json()["reason"], "circuit_open");
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    let metric = |name: &str| format!("portcullis_upstream_{name}{{upstream=\"origin\"}}");
    assert_eq!(gateway.metric(&metric("breakers_open")).await, Some(1.0));
    ill.store(false, Ordering::SeqCst);
    gateway.until("the breaker closes", Request::get("/"), |response| response.status == 200).await;
    client.send(&Request::get("/")).await;
    gateway.logs().wait_for_words(0, &["breaker closes"]).await;
    assert_eq!(gateway.metric(&metric("breakers_open")).await, Some(0.0));
    assert!(gateway.metric(&metric("breaker_refused_total")).await >= Some(1.0));
}

/// A gateway before origins that say their names, with an upstream like this.
async fn spread(names: &[&'static str], patch: &Value) -> (Vec<Origin>, Vec<String>, Gateway) {
    let mut origins = Vec::new();
    for name in names {
        origins.push(Origin::saying(name).await);
    }
    let endpoints: Vec<String> = origins.iter().map(|origin| origin.address().to_string()).collect();
    let setup = Setup::new().patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints } } }));
    let gateway = setup.patch(&json!({ "upstreams": { "origin": patch } })).start().await;
    (origins, endpoints, gateway)
}

#[tokio::test]
async fn weights_are_heeded_and_a_draining_endpoint_gets_nothing_new() {
    let (origins, endpoints, gateway) = spread(&["one", "two", "three"], &json!({})).await;
    let weighted = |drain: bool| {
        json!({ "upstreams": { "origin": { "endpoints": [
            { "address": endpoints[0], "weight": 3 }, endpoints[1], { "address": endpoints[2], "drain": drain },
        ] } } })
    };
    let counts = || origins.iter().map(|origin| origin.seen().len()).collect::<Vec<_>>();
    for (number, (drain, expected)) in [(true, [6, 2, 0]), (false, [12, 4, 4])].into_iter().enumerate() {
        gateway.patch_config(&weighted(drain));
        let generation = format!("\"generation\":{}", number + 2);
        gateway.logs().wait_for_words(0, &["generation serves", &generation]).await;
        let before = counts();
        let all: usize = expected.iter().sum();
        let mut client = gateway.connect().await;
        for _ in 0..all {
            client.send(&Request::get("/")).await;
        }
        let asked: Vec<usize> = counts().iter().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(asked, expected, "drain: {drain}");
    }
}

#[tokio::test]
async fn a_client_stays_with_its_endpoint_while_that_is_there() {
    let sticky = json!({ "sticky": { "cookie": "at", "ttl_s": 60, "secure": true } });
    let (origins, _, gateway) = spread(&["one", "two", "three"], &sticky).await;
    let first = gateway.get("/").await;
    let field = first.value("set-cookie").unwrap().to_owned();
    let cookie = field.split(';').next().unwrap().to_owned();
    assert_eq!(field, format!("{cookie}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"));
    let with_cookie = Request::get("/").field("Cookie", format!("theme=dark; {cookie}"));
    for _ in 0..6 {
        let again = gateway.send(with_cookie.clone()).await;
        assert_eq!((again.text(), again.value("set-cookie")), (first.text(), None));
    }
    // Who does not say where it was is spread as ever.
    let mut others: Vec<String> = Vec::new();
    for _ in 0..3 {
        others.push(gateway.get("/").await.text().to_owned());
    }
    others.sort();
    assert_eq!(others, ["one", "three", "two"]);
    // An endpoint that is gone makes room for another, and the client learns which.
    let gone = ["one", "two", "three"].iter().position(|name| *name == first.text()).unwrap();
    origins[gone].stop();
    let moved = gateway.send(with_cookie.clone()).await;
    assert_ne!(moved.text(), first.text());
    assert_ne!(moved.value("set-cookie"), Some(&*field));
}

#[tokio::test]
async fn requests_that_are_alike_go_to_one_endpoint_before_and_after_a_reload() {
    let by_user = json!({ "balance": "hash", "hash": { "by": "header", "name": "x-user" } });
    let (_origins, endpoints, gateway) = spread(&["one", "two", "three", "four"], &by_user).await;
    let homes = || async {
        let mut homes = Vec::new();
        for user in 0..24 {
            homes.push(gateway.send(Request::get("/").field("X-User", user.to_string())).await.text().to_owned());
        }
        homes
    };
    let before = homes().await;
    assert_eq!(homes().await, before);
    let mut names = before.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "{before:?}");
    // One leaves: only who was there moves.
    gateway.patch_config(&json!({ "upstreams": { "origin": { "endpoints": endpoints[..3] } } }));
    gateway.logs().wait_for_words(0, &["generation serves", "\"generation\":2"]).await;
    for (before, after) in before.iter().zip(homes().await) {
        assert!(*before == after || before == "four", "{before} became {after}");
    }
}

#[tokio::test]
async fn endpoints_come_and_go_by_configuration_under_load_and_their_connections_end() {
    let (origins, endpoints, gateway) = spread(&["one", "two", "three"], &json!({})).await;
    let load = Load::start(&gateway, 8, &Request::get("/"), |response| match response.status {
        200 => Ok(()),
        other => Err(other.to_string()),
    });
    for round in 0..6 {
        load.more(100).await;
        let left: Vec<&String> =
            endpoints.iter().enumerate().filter(|(at, _)| round % 3 != *at).map(|(_, e)| e).collect();
        gateway.patch_config(&json!({ "upstreams": { "origin": { "endpoints": left } } }));
        let generation = format!("\"generation\":{}", round + 2);
        gateway.logs().wait_for_words(0, &["generation serves", &generation]).await;
        // Nobody asks the one that left, and nothing of it is kept.
        let gone = format!("endpoint=\"{}\"", endpoints[round % 3]);
        portcullis_tests::eventually("the endpoint is forgotten", || async {
            (!gateway.admin("/metrics").await.text().contains(&gone)).then_some(())
        })
        .await;
        let before = origins[round % 3].seen().len();
        load.more(100).await;
        assert_eq!(origins[round % 3].seen().len(), before);
    }
    load.stop().await.expect_clean(1000);
}
