//! Who is let in, and who is not.

use http::HeaderValue;

use super::origin::{Site, is_ours, site};
use super::*;
use crate::admin::settings::CertificateHolder;
use crate::exchange::{Certificate, Tls};
use crate::time;

const TOKEN: &[u8] = b"0123456789abcdef";

fn access() -> Access {
    let token = |name: &str, role, secret: &[u8]| Token { name: name.to_owned(), role, digest: digest_of(secret) };
    Access {
        tokens: vec![token("reader", Role::Read, TOKEN), token("root", Role::Admin, b"fedcba9876543210")],
        certificates: vec![CertificateHolder {
            name: "alice".to_owned(),
            role: Role::Operate,
            mark: Mark::Subject("CN=alice".to_owned()),
        }],
        hosts: vec!["gateway.internal".to_owned()],
    }
}

fn client() -> Client {
    let address = "127.0.0.1:1".parse().unwrap();
    Client::new(address, address, None)
}

fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::try_from(*value).unwrap());
    }
    headers
}

#[test]
fn tokens_name_who_has_them() {
    let (keeper, now) = (Doorkeeper::new(Some(digest_of(b"made"))), time::now());
    let who = |value: &str| keeper.who(&access(), &client(), &fields(&[("authorization", value)]), now);
    let caller = who("Bearer 0123456789abcdef").unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("reader", Role::Read));
    assert_eq!(who("bearer fedcba9876543210").unwrap().role, Role::Admin);
    for wrong in
        ["Bearer ", "Bearer", "Bearer 0123456789abcdeg", "Basic 0123456789abcdef", "Bearer made", "0123456789abcdef"]
    {
        assert!(matches!(who(wrong), Err(Unknown::Wrong(_))), "{wrong}");
    }
    assert_eq!(keeper.who(&access(), &client(), &HeaderMap::new(), now), Err(Unknown::Anonymous));
    let made = keeper.who(&Access::default(), &client(), &fields(&[("authorization", "Bearer made")]), now);
    assert_eq!(made.unwrap().name, BUILT_IN);
    let keeper = Doorkeeper::new(None);
    let nothing = keeper.who(&Access::default(), &client(), &fields(&[("authorization", "Bearer ")]), now);
    assert!(matches!(nothing, Err(Unknown::Wrong(_))));
}

#[test]
fn too_many_wrong_tokens_close_the_door_but_not_to_right_ones() {
    let (keeper, now) = (Doorkeeper::new(None), time::now());
    let who = |value: &str| keeper.who(&access(), &client(), &fields(&[("authorization", value)]), now);
    for _ in 0..20 {
        assert!(matches!(who("Bearer no"), Err(Unknown::Wrong(_))));
    }
    assert!(matches!(who("Bearer no"), Err(Unknown::Later(_))));
    assert_eq!(who("Bearer 0123456789abcdef").unwrap().name, "reader", "others of this machine are not locked out");
    assert!(matches!(who("Bearer no"), Err(Unknown::Later(_))), "and who tries tokens out is not let off");
}

#[test]
fn sockets_and_certificates_name_their_clients() {
    let (keeper, now) = (Doorkeeper::new(None), time::now());
    let local = Client { user: Some(1000), ..client() };
    let caller = keeper.who(&access(), &local, &HeaderMap::new(), now).unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("uid:1000", Role::Admin));
    let shown = |subject: &str| {
        let certificate = Certificate { subject: subject.into(), serial: "1".into(), fingerprint: "ab".into() };
        let tls = Tls { version: "TLSv1.3", cipher: "x".into(), server_name: None, certificate: Some(certificate) };
        Client { tls: Some(tls), ..client() }
    };
    assert_eq!(keeper.who(&access(), &shown("CN=alice"), &HeaderMap::new(), now).unwrap().role, Role::Operate);
    assert_eq!(keeper.who(&access(), &shown("CN=bob"), &HeaderMap::new(), now), Err(Unknown::Anonymous));
}

#[test]
fn a_session_lasts_as_long_as_its_token_and_no_longer_than_a_day_at_work() {
    let (keeper, now) = (Doorkeeper::new(None), time::now());
    let (_, line) = keeper.sign_in(&access(), &client(), TOKEN, now).unwrap();
    assert!(line.contains("HttpOnly; SameSite=Strict"), "{line}");
    let cookie = format!("a=b; {}", line.split(';').next().unwrap());
    let headers = fields(&[("cookie", &cookie)]);
    let caller = keeper.who(&access(), &client(), &headers, now).unwrap();
    assert_eq!((caller.name.as_str(), caller.by), ("reader", By::Session));
    assert_eq!(keeper.who(&Access::default(), &client(), &headers, now), Err(Unknown::Anonymous));
    let late = now + Duration::from_secs(12 * 3600);
    assert_eq!(keeper.who(&access(), &client(), &headers, late), Err(Unknown::Anonymous));
    keeper.sign_out(&client(), &headers);
    assert_eq!(keeper.who(&access(), &client(), &headers, now), Err(Unknown::Anonymous));
    for _ in 0..1000 {
        keeper.sign_in(&access(), &client(), TOKEN, now).unwrap();
    }
}

#[test]
fn over_tls_the_cookie_is_the_hosts_own() {
    let (keeper, now) = (Doorkeeper::new(None), time::now());
    let tls = Tls { version: "TLSv1.3", cipher: "x".into(), server_name: None, certificate: None };
    let encrypted = Client { tls: Some(tls), ..client() };
    let (_, line) = keeper.sign_in(&access(), &encrypted, TOKEN, now).unwrap();
    assert!(line.starts_with("__Host-portcullis_session=") && line.ends_with("; Secure") && line.contains("; Path=/;"));
    let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
    let who = |name: &str| keeper.who(&access(), &encrypted, &fields(&[("cookie", &format!("{name}={value}"))]), now);
    assert_eq!(who(name).unwrap().name, "reader");
    assert_eq!(who("portcullis_session"), Err(Unknown::Anonymous), "what another server may have set");
    assert!(keeper.sign_out(&encrypted, &HeaderMap::new()).starts_with("__Host-portcullis_session=;"));
}

#[test]
fn other_sites_are_told_from_ours() {
    let check = |sent: &[(&'static str, &str)], expected| {
        assert_eq!(site(&fields(sent), Some("localhost:9900")), expected, "{sent:?}");
    };
    check(&[], Site::Unsaid);
    check(&[("origin", "http://localhost:9900")], Site::Ours);
    check(&[("origin", "http://LOCALHOST:9900"), ("sec-fetch-site", "same-origin")], Site::Ours);
    check(&[("sec-fetch-site", "same-origin")], Site::Ours);
    check(&[("sec-fetch-site", "none")], Site::Unsaid);
    for origin in ["null", "http://localhost:9901", "https://evil.example", "localhost:9900", ""] {
        check(&[("origin", origin)], Site::Foreign);
    }
    check(&[("sec-fetch-site", "cross-site")], Site::Foreign);
    check(&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:9900")], Site::Foreign);
    check(&[("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")], Site::Foreign);
}

#[test]
fn a_loopback_address_goes_by_few_names() {
    let check = |host: &str, expected| {
        assert_eq!(is_ours(&client(), Some(host), &access().hosts), expected, "{host}");
    };
    for host in
        ["127.0.0.1", "127.0.0.1:9900", "localhost", "LOCALHOST.:1", "[::1]:1", "a.localhost", "gateway.internal:2"]
    {
        check(host, true);
    }
    for host in ["evil.example", "evil.example:9900", "localhost.evil.example", "192.0.2.1", "", "a b", "[::2]"] {
        check(host, false);
    }
    assert!(!is_ours(&client(), None, &[]));
    let far = Client { local: "192.0.2.1:1".parse().unwrap(), ..client() };
    assert!(is_ours(&far, Some("any.example"), &[]));
}
