//! What is counted of which exchange, that workers add up and reloads forget nothing, and how it is told.

use std::net::Ipv4Addr;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::*;
use crate::exchange::{CacheStatus, Client, Exchange, Fault, Reason, Received, Request};
use crate::telemetry::metrics::{Exposition, Format, Sample};

fn exchange(book: &Book, method: Method, route: Option<&str>) -> Exchange {
    let now = time::now();
    Exchange {
        route: route.map(|route| route.parse().unwrap()),
        presence: book.entrance.enter(),
        ..Exchange::new(
            HeaderValue::from_static("abc"),
            now,
            Arc::new(Client::new((Ipv4Addr::LOCALHOST, 1).into(), (Ipv4Addr::LOCALHOST, 80).into(), None)),
            Request {
                method,
                authority: "example.com".into(),
                target: "/".parse().unwrap(),
                headers: HeaderMap::new(),
                version: Version::HTTP_11,
                upgrade: None,
            },
        )
    }
}

fn end(route: Option<usize>, status: u16, millis: u64) -> End {
    End {
        route,
        status: StatusCode::from_u16(status).unwrap(),
        body_bytes: 10,
        head: Some(Duration::from_millis(1)),
        duration: Duration::from_millis(millis),
        complete: true,
    }
}

fn sum(accounts: &Accounts, owner: &str) -> Sum {
    accounts.sums().into_iter().find(|(known, _)| known.as_str() == owner).unwrap().1
}

#[test]
fn all_of_an_exchange_is_counted() {
    let accounts = Arc::<Accounts>::default();
    let book = accounts.book();
    let mut failed = exchange(&book, Method::POST, Some("r"));
    failed.failure = Some(Reason::UpstreamTimeout);
    failed.cache = CacheStatus::Miss;
    failed.received = Received::Whole(7);
    failed.timings.upstream = Duration::from_millis(2);
    failed.timings.add_plugin(4, Duration::from_millis(1));
    failed.timings.add_plugin(4, Duration::from_millis(2));
    failed.timings.add_plugin(9, Duration::from_millis(5));
    book.record(&failed, &End { complete: false, ..end(Some(0), 504, 20) });
    let mut refused = exchange(&book, Method::GET, Some("r"));
    refused.delivery.endpoint = Some(Rc::new("origin:80"));
    book.record(&refused, &end(Some(0), 500, 3));
    // Neither is the client's name for a method, nor is a 503 that was configured anybody's fault.
    book.record(&exchange(&book, Method::from_bytes(b"BREW").unwrap(), Some("r")), &end(Some(0), 503, 3));
    let sum = sum(&accounts, "r");
    assert_eq!(sum.requests[Methods::Post as usize], [0, 0, 0, 0, 1]);
    assert_eq!(sum.requests[Methods::Other as usize], [0, 0, 0, 0, 1]);
    assert_eq!((sum.status(), sum.reads()), ([0, 0, 0, 0, 3], 1));
    assert_eq!((sum.faults(Fault::Upstream), sum.upstream_status, sum.faults(Fault::Internal)), (2, 1, 0));
    assert_eq!((sum.request_bytes, sum.response_bytes, sum.incomplete), (7, 30, 1));
    assert_eq!((sum.cached(CacheStatus::Miss), sum.cached(CacheStatus::Unused)), (1, 2));
    assert_eq!((sum.duration.count(), sum.duration.sum()), (3, Duration::from_millis(26)));
    assert_eq!((sum.head.count(), sum.head.sum()), (3, Duration::from_millis(3)));
    assert_eq!(sum.parts, [0, 0, 2_000_000, 8_000_000]);
    let plugin = |number, calls, nanoseconds| PluginSum { number, calls, nanoseconds };
    assert_eq!(sum.plugins, [plugin(4, 1, 3_000_000), plugin(9, 1, 5_000_000)]);
    assert_eq!(accounts.workers(), [(0, 0)]);
}

#[test]
fn a_connection_that_changed_protocols_has_no_duration() {
    let accounts = Arc::<Accounts>::default();
    let book = accounts.book();
    book.record(&exchange(&book, Method::GET, Some("r")), &end(Some(0), 101, 3_600_000));
    let sum = sum(&accounts, "r");
    assert_eq!((sum.status(), sum.duration.count(), sum.head.count()), ([1, 0, 0, 0, 0], 0, 1));
}

#[test]
fn workers_add_up_and_routes_are_known_by_name_whatever_their_place() {
    let accounts = Arc::<Accounts>::default();
    let (one, two) = (accounts.book(), accounts.book());
    let record = |book: &Book, name, place| book.record(&exchange(book, Method::GET, name), &end(place, 200, 1));
    record(&one, Some("a"), Some(0));
    record(&one, Some("b"), Some(1));
    record(&two, Some("a"), Some(0));
    // After a reload they stand in another order; exchanges of before may still end.
    record(&one, Some("b"), Some(0));
    record(&one, Some("a"), Some(1));
    record(&one, Some("a"), Some(0));
    record(&two, None, None);
    let requests = |owner: &str| sum(&accounts, owner).status().iter().sum::<u64>();
    assert_eq!((requests("a"), requests("b"), requests("_none")), (4, 2, 1));
    assert_eq!(accounts.sheets.lock().unwrap().values().map(Vec::len).sum::<usize>(), 4 + 3);
    assert!(accounts.sums().iter().all(|(owner, _)| *owner != Owner::Other));
}

#[test]
fn who_goes_away_before_the_response_is_aborted_and_an_error_of_the_client() {
    let accounts = Arc::<Accounts>::default();
    let book = accounts.book();
    let (one, two) = (exchange(&book, Method::GET, None), exchange(&book, Method::GET, None));
    assert_eq!(accounts.workers(), [(2, 0)]);
    book.record(&one, &end(None, 200, 1));
    // Hooks may hold it for longer.
    assert_eq!(accounts.workers(), [(1, 0)]);
    let mut two = two;
    two.failure = Some(Reason::ClientGone);
    two.presence.abort();
    book.record(&two, &End { head: None, complete: false, ..end(None, 499, 20) });
    drop((one, two));
    assert_eq!(accounts.workers(), [(0, 1)]);
    let sum = sum(&accounts, "_none");
    assert_eq!((sum.status(), sum.incomplete), ([0, 1, 0, 1, 0], 1));
    // No response, hence no head of one.
    assert_eq!((sum.duration.count(), sum.head.count()), (2, 1));
    assert_eq!([Fault::Downstream, Fault::Upstream, Fault::Internal].map(|fault| sum.faults(fault)), [1, 0, 0]);
}

#[test]
fn routes_and_plugins_beyond_the_bound_are_counted_together() {
    let accounts = Arc::<Accounts>::default();
    let book = accounts.book();
    for number in 0..ROUTES_MAX + 5 {
        let name = format!("r{number}");
        book.record(&exchange(&book, Method::GET, Some(&name)), &end(Some(0), 200, 1));
    }
    assert_eq!(accounts.sums().len(), ROUTES_MAX + 2);
    assert_eq!(sum(&accounts, "_other").status(), [0, 5, 0, 0, 0]);
    let mut many = exchange(&book, Method::GET, Some("r0"));
    (0..40).for_each(|number| many.timings.add_plugin(number, Duration::from_nanos(1)));
    book.record(&many, &end(Some(0), 200, 1));
    let plugins = sum(&accounts, "r0").plugins;
    assert_eq!((plugins.len(), plugins[31].calls, plugins[31].nanoseconds), (32, 9, 9));
    let name = |number: u32| (number < 40).then(|| format!("p{number}"));
    let mut out = Exposition::default();
    accounts.expose(&name, &mut out);
    let text = out.finish();
    let line = "portcullis_request_plugin_requests_total{route=\"r0\",plugin=\"_other\"} 9";
    assert!(text.lines().any(|known| known == line), "{text}");
}

#[test]
fn an_example_is_noted_once_a_second_for_each_bucket() {
    let accounts = Arc::<Accounts>::default();
    let book = accounts.book();
    let record = |id: &'static str, millis| {
        let mut exchange = exchange(&book, Method::GET, Some("r"));
        exchange.id = HeaderValue::from_static(id);
        exchange.started = accounts.base.0;
        book.record(&exchange, &end(Some(0), 200, millis));
    };
    record("slow", 4);
    record("late", 4);
    record("slower", 400);
    record("other second", 5000);
    let mut out = Exposition::new(Format::OpenMetrics);
    accounts.expose(&|_| None, &mut out);
    let text = out.finish();
    let line = |bound: &str| {
        let start = format!("portcullis_request_duration_seconds_bucket{{route=\"r\",le=\"{bound}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        line.rsplit_once(' ').map_or(line, |(line, _)| line).to_owned()
    };
    assert_eq!(line("0.005"), "2 # {request_id=\"slow\"} 0.004");
    assert_eq!(line("0.01").split(' ').next(), Some("2"));
    assert_eq!(line("0.5"), "3 # {request_id=\"slower\"} 0.4");
    assert_eq!(line("5.0"), "4 # {request_id=\"other second\"} 5");
    let mut out = Exposition::default();
    accounts.expose(&|_| None, &mut out);
    assert!(!out.finish().contains(" # {"));
}

#[test]
fn what_is_told_adds_up() {
    let accounts = Arc::<Accounts>::default();
    let book = accounts.book();
    for millis in [1, 30, 30, 20_000] {
        book.record(&exchange(&book, Method::GET, Some("r")), &end(Some(0), 200, millis));
    }
    let mut refused = exchange(&book, Method::GET, None);
    refused.failure = Some(Reason::NoRoute);
    book.record(&refused, &end(None, 404, 1));
    let mut out = Exposition::default();
    accounts.expose(&|_| None, &mut out);
    let text = out.finish();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let series = Sample::read(&text, |known| known == name);
        let matching = series.iter().filter(|sample| labels.iter().all(|(label, value)| sample.has(label, value)));
        matching.map(|sample| sample.value).reduce(|sum, value| sum + value)
    };
    assert_eq!(value("portcullis_requests_total", &[]), Some(5.0));
    assert_eq!(value("portcullis_requests_total", &[("route", "r"), ("method", "GET"), ("status", "2xx")]), Some(4.0));
    assert_eq!(value("portcullis_errors_total", &[("fault", "downstream"), ("reason", "no_route")]), Some(1.0));
    let bucket = |bound| value("portcullis_request_duration_seconds_bucket", &[("route", "r"), ("le", bound)]);
    assert_eq!(
        [bucket("0.001"), bucket("0.025"), bucket("0.05"), bucket("10"), bucket("+Inf")],
        [1.0, 1.0, 3.0, 3.0, 4.0].map(Some)
    );
    assert_eq!(value("portcullis_request_duration_seconds_sum", &[("route", "r")]), Some(20.061));
    assert_eq!(value("portcullis_response_bytes_total", &[("route", "r")]), Some(40.0));
}
