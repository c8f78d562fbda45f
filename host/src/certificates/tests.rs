//! Who is shown what.

use super::*;

fn certificate(host: &str) -> CertifiedKey {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider).unwrap()
}

#[test]
fn an_answer_is_there_as_long_as_it_is_shown() {
    let challenges = Challenges::default();
    let path = "/.well-known/acme-challenge/token";
    assert_eq!(challenges.answer(path), None);
    let shown = challenges.show_http("token", "token.thumbprint");
    assert_eq!(challenges.answer(path).as_deref(), Some("token.thumbprint"));
    for other in ["/token", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/token/"] {
        assert_eq!(challenges.answer(other), None, "{other}");
    }
    drop(shown);
    assert_eq!(challenges.answer(path), None);
}

#[test]
fn a_validation_sees_its_proof_and_others_see_the_certificate() {
    let host = "validation.example";
    let before = issued().version();
    assert!(matches!(choose(host, false), Resolved::Unknown));
    issued().put(host, Arc::new(certificate(host)));
    assert!(issued().version() > before);
    let Resolved::Certificate(normal) = choose(host, false) else { panic!("no certificate") };
    // Not the normal certificate: a validation would take it for a wrong answer, and anybody could ask (RFC 8737 section 3).
    assert!(matches!(choose(host, true), Resolved::Refused));
    let shown = challenges().show_alpn("Validation.Example", certificate(host));
    let Resolved::Certificate(proof) = choose(host, true) else { panic!("no proof") };
    assert!(!Arc::ptr_eq(&normal, &proof));
    assert!(matches!(choose(host, false), Resolved::Certificate(certificate) if Arc::ptr_eq(&certificate, &normal)));
    drop(shown);
    assert!(matches!(choose(host, true), Resolved::Refused));
}

#[test]
fn hosts_that_are_no_longer_wanted_are_forgotten() {
    let issued = Issued::default();
    issued.put("a.example", Arc::new(certificate("a.example")));
    issued.put("B.example", Arc::new(certificate("b.example")));
    issued.keep_only(&["b.example".to_owned()]);
    assert!(issued.certified("a.example").is_none());
    assert!(issued.certified("b.example").is_some());
}
