//! Records and envelopes: what goes out comes back, and nothing else does.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// An envelope of 1 MiB, that compresses from 64 bytes on.
fn settings() -> Settings {
    Settings { object_bytes_max: 1 << 20, compress_above_bytes: 64, ..Settings::default() }
}

fn id(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(byte: u8) -> CipherKey {
    CipherKey::new(&[byte; SECRET_BYTES]).unwrap()
}

/// Keys with these ids, each with a secret that its first byte tells.
fn keys(current: &str, all: &[&str]) -> Option<Keys> {
    Keys::new(id(current), all.iter().map(|text| (id(text), key(text.as_bytes()[0]))).collect())
}

fn encrypted(current: &str, all: &[&str]) -> Envelope {
    Envelope::new(&Settings { encryption: Some(keys(current, all).unwrap()), ..settings() })
}

fn small() -> Record {
    let mut secret = HeaderValue::from_static("s=1");
    secret.set_sensitive(true);
    Record {
        key: "GET https://a.example/ä".into(),
        url: "https://a.example/ä".into(),
        namespace: "shop".into(),
        vary: vec![
            (HeaderName::from_static("accept"), Some(HeaderValue::from_static("text/html"))),
            (HeaderName::from_static("cookie"), None),
        ],
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([
            (HeaderName::from_static("content-type"), HeaderValue::from_static("text/html")),
            (HeaderName::from_static("set-cookie"), secret),
            (HeaderName::from_static("x-old"), HeaderValue::from_bytes(b"caf\xe9").unwrap()),
        ]),
        body: Bytes::from_static(b"Hello"),
        tags: vec!["home".into(), "".into()],
        received_unix_ms: 1_795_250_000_123,
        age_ms: 5,
        ttl_ms: 60_000,
        stale_while_revalidate_ms: 1000,
        stale_if_error_ms: u64::MAX,
        stale_if_unreachable_ms: 3,
        refresh_ahead_ms: 0,
        generation: 7,
        flags: u32::MAX,
    }
}

/// A record whose body is so long, and compresses well or not at all.
fn long(body: Vec<u8>) -> Record {
    Record { body: body.into(), ..small() }
}

/// Bytes without any pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = || "[a-z][a-z0-9-]{0,12}".prop_map(|text| HeaderName::from_bytes(text.as_bytes()).unwrap());
    let value = || {
        let bytes = vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..200);
        (bytes, any::<bool>()).prop_map(|(bytes, sensitive)| {
            let mut value = HeaderValue::from_bytes(&bytes).unwrap();
            value.set_sensitive(sensitive);
            value
        })
    };
    let headers = vec((name(), value()), 0..12).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    });
    let text = || ".{0,40}".prop_map(Box::<str>::from);
    let vary = vec((name(), proptest::option::of(value())), 0..5);
    let times = any::<[u64; 8]>();
    let content = (text(), vary, 100_u16..1000, headers, vec(any::<u8>(), 0..600), vec(text(), 0..6));
    (content, times, any::<u32>()).prop_map(|((key, vary, status, headers, body, tags), times, flags)| Record {
        url: key.clone(),
        namespace: key.clone(),
        key,
        vary,
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.into(),
        tags,
        received_unix_ms: times[0],
        age_ms: times[1],
        ttl_ms: times[2],
        stale_while_revalidate_ms: times[3],
        stale_if_error_ms: times[4],
        refresh_ahead_ms: times[5],
        generation: times[6],
        stale_if_unreachable_ms: times[7],
        flags,
    })
}

/// Which values are sensitive, which equality does not tell.
fn sensitive(record: &Record) -> Vec<bool> {
    let vary = record.vary.iter().filter_map(|(_, value)| value.as_ref());
    record.headers.values().chain(vary).map(HeaderValue::is_sensitive).collect()
}

proptest! {
    #[test]
    fn what_goes_out_comes_back(record in any_record()) {
        let bytes = Bytes::from(encode(&record));
        prop_assert!(bytes.len() <= record.encoded_bytes_max());
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(sensitive(&decoded), sensitive(&record));
        prop_assert_eq!(&decoded, &record);
        for envelope in [Envelope::new(&settings()), encrypted("a", &["a"])] {
            let sealed = envelope.seal(b"here", &record).unwrap();
            prop_assert!(sealed.len() <= envelope.sealed_bytes_max());
            prop_assert_eq!(&envelope.open(b"here", sealed.into()).unwrap(), &record);
        }
    }

    #[test]
    fn anything_may_be_read(bytes in vec(any::<u8>(), 0..300), checked in any::<bool>()) {
        let mut bytes = [b"PCR\x01".as_slice(), &bytes].concat();
        if checked {
            let mut crc = flate2::Crc::new();
            crc.update(&bytes);
            bytes.extend(crc.sum().to_le_bytes());
        }
        let _ = decode(&bytes.clone().into());
        for coding in 0..=4 {
            bytes[..4].copy_from_slice(&[b'P', b'C', 1, coding]);
            let _ = Envelope::new(&settings()).open(b"", bytes.clone().into());
            let _ = encrypted("a", &["a"]).open(b"", bytes.clone().into());
        }
    }
}

#[test]
fn no_byte_can_be_changed_and_none_be_missing() {
    let bytes = encode(&small());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(decode(&changed.into()).is_err(), "bit {bit} of byte {at}");
        }
        assert!(decode(&bytes[..at].to_vec().into()).is_err(), "{at} bytes");
    }
    assert!(decode(&[&bytes, b"\0".as_slice()].concat().into()).is_err());
}

/// With a checksum that is right, so that the parts themselves are tried.
#[test]
fn no_part_is_believed() {
    let bytes = encode(&small());
    let bytes = &bytes[..bytes.len() - 4];
    let checked = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        Bytes::from([bytes, &crc.sum().to_le_bytes()].concat())
    };
    assert_eq!(decode(&checked(bytes)).unwrap(), small());
    for at in 4..bytes.len() {
        for with in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] = with;
            // Whether it can be read depends on the part; it must be tried without harm.
            let _ = decode(&checked(&changed));
        }
        assert!(decode(&checked(&bytes[..at])).is_err(), "{at} bytes");
    }
    let check = |part: &[u8], expected| assert_eq!(decode(&checked(&[b"PCR\x01", part].concat())), Err(expected));
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01].as_slice();
    let zeros = [0; 9].as_slice();
    let ok = [0xc8, 0x01].as_slice();
    check(huge, Corrupt::Part("flags"));
    check(&[&[0], &huge[..9], &[0x02]].concat(), Corrupt::Part("generation"));
    check(&[zeros, &[0x63]].concat(), Corrupt::Part("status"));
    check(&[zeros, ok, huge].concat(), Corrupt::Part("key"));
    check(&[zeros, ok, &[1, 0xff]].concat(), Corrupt::Part("key"));
    check(&[zeros, ok, &[0, 0, 0], huge].concat(), Corrupt::Part("vary"));
    check(&[zeros, ok, &[0, 0, 0, 0], huge].concat(), Corrupt::Part("tags"));
    check(&[zeros, ok, &[0, 0, 0, 0, 0], huge].concat(), Corrupt::Part("fields"));
    check(&[zeros, ok, &[0, 0, 0, 0, 0, 1, 1, b'a', 2, b'\n', 0]].concat(), Corrupt::Part("fields"));
    check(&[zeros, ok, &[0, 0, 0, 0, 0, 0], huge].concat(), Corrupt::Part("body"));
    check(&[zeros, ok, &[0, 0, 0, 0, 0, 0, 0, 0]].concat(), Corrupt::Part("end"));
    assert_eq!(decode(&Bytes::from_static(b"PCR\x02...............")), Err(Corrupt::Version(2)));
    assert_eq!(decode(&Bytes::from_static(b"PCR")), Err(Corrupt::Foreign));
}

#[test]
fn times_end_where_numbers_do() {
    let record = Record { stale_if_error_ms: 500, ..small() };
    assert_eq!(record.usable_until_unix_ms(), 1_795_250_000_123 + 60_000 + 1000);
    assert_eq!(small().usable_until_unix_ms(), u64::MAX);
}

#[test]
fn the_body_is_not_copied() {
    let within = |part: &[u8], whole: std::ops::Range<*const u8>| whole.contains(&part.as_ptr());
    let bytes = Bytes::from(encode(&long(noise(1000))));
    let record = decode(&bytes).unwrap();
    assert!(within(&record.body, bytes.as_ptr_range()));
    assert!(within(record.headers["x-old"].as_bytes(), bytes.as_ptr_range()));
    // Decrypted in place, too.
    let envelope = encrypted("a", &["a"]);
    let sealed = Bytes::from(envelope.seal(b"", &long(noise(1000))).unwrap());
    let range = sealed.as_ptr_range();
    assert!(within(&envelope.open(b"", sealed).unwrap().body, range));
    // Where somebody else holds it, that one keeps what it has.
    let sealed = Bytes::from(envelope.seal(b"", &small()).unwrap());
    assert_eq!(envelope.open(b"", sealed.clone()).unwrap(), small());
    assert_eq!(envelope.open(b"", sealed).unwrap(), small());
}

#[test]
fn what_pays_is_compressed() {
    let envelope = Envelope::new(&settings());
    let sealed_bytes = |record: &Record| {
        let sealed = envelope.seal(b"", record).unwrap();
        let length = sealed.len();
        assert_eq!(envelope.open(b"", sealed.into()).unwrap(), *record);
        length
    };
    let text = long(b"All work and no play. ".repeat(1000));
    assert!(sealed_bytes(&text) < 1000);
    assert!(sealed_bytes(&long(noise(22_000))) > 22_000);
    let with = |name: HeaderName, value| {
        let mut record = text.clone();
        record.headers.insert(name, HeaderValue::from_static(value));
        record
    };
    assert!(sealed_bytes(&with(http::header::CONTENT_ENCODING, "gzip")) > 22_000);
    assert!(sealed_bytes(&with(http::header::CONTENT_TYPE, "Image/png")) > 22_000);
    assert!(sealed_bytes(&with(http::header::CONTENT_TYPE, "image/svg+xml")) < 1000);
    let never = Envelope::new(&Settings { compress_above_bytes: 1 << 50, ..settings() });
    assert!(never.seal(b"", &text).unwrap().len() > 22_000);
    assert_eq!(envelope.open(b"", never.seal(b"", &text).unwrap().into()).unwrap(), text);
}

#[test]
fn too_much_is_neither_sealed_nor_opened() {
    let tight = Envelope::new(&Settings { object_bytes_max: 1000, ..settings() });
    let wide = Envelope::new(&Settings { object_bytes_max: 64 << 20, ..settings() });
    for body in [vec![b'a'; 1001], noise(1001), vec![0; 32 << 20]] {
        let record = long(body);
        assert_eq!(tight.seal(b"", &record), Err(SealError::TooLong));
        let sealed = wide.seal(b"", &record).unwrap();
        assert_eq!(tight.open(b"", sealed.into()), Err(Corrupt::TooLong));
    }
    let record = long(vec![b'a'; 1000]);
    assert_eq!(tight.open(b"", tight.seal(b"", &record).unwrap().into()).unwrap(), record);
    let record = Record { tags: vec!["x".repeat(1000).into(); 2000], ..small() };
    assert_eq!(tight.seal(b"", &record), Err(SealError::TooLong));
}

/// A frame that says another length than it has, and one that says none.
#[test]
fn a_compressed_length_is_not_believed() {
    let plain = vec![b'a'; 5000];
    let good = compress::squeeze(&plain).unwrap();
    assert_eq!(compress::expand(&good, 5000).unwrap(), plain);
    assert_eq!(compress::expand(&good, 4999), Err(Corrupt::TooLong));
    assert_eq!(compress::expand(&good[..good.len() - 1], 5000), Err(Corrupt::Expansion));
    assert_eq!(compress::expand(b"", 5000), Err(Corrupt::Expansion));
    assert_eq!(compress::expand(&[good.clone(), good.clone()].concat(), 50_000), Err(Corrupt::Expansion));
    let silent = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    assert_eq!(compress::expand(&silent, 5000), Err(Corrupt::Expansion));
    // The header's field of two bytes (RFC 8878 section 3.1.1.1.4) holds the length less 256.
    let mut lying = good.clone();
    let at = lying.windows(2).position(|two| two == (5000_u16 - 256).to_le_bytes()).unwrap();
    for length in [4999_u16, 5001, 60_000] {
        lying[at..at + 2].copy_from_slice(&(length - 256).to_le_bytes());
        assert_eq!(compress::expand(&lying, 1 << 20), Err(Corrupt::Expansion), "{length}");
    }
}

#[test]
fn an_encrypted_record_opens_only_where_it_was_put() {
    let envelope = encrypted("a", &["a"]);
    let sealed = envelope.seal(b"one", &small()).unwrap();
    assert_eq!(envelope.open(b"one", sealed.clone().into()).unwrap(), small());
    for place in [b"two".as_slice(), b"", b"one ", b"on"] {
        assert_eq!(envelope.open(place, sealed.clone().into()), Err(Corrupt::Forged));
    }
    // The place cannot take over a part of the head.
    assert!(envelope.open(b"ne", [&sealed[..6], b"o", &sealed[6..]].concat().into()).is_err());
    assert_ne!(sealed, envelope.seal(b"one", &small()).unwrap(), "the nonce is new each time");
    let clear = |sealed: &[u8], text: &[u8]| sealed.windows(text.len()).any(|window| window == text);
    assert!(!clear(&sealed, b"Hello") && !clear(&sealed, b"a.example"));
    let plain = Envelope::new(&Settings { compress_above_bytes: 1 << 20, ..settings() }).seal(b"one", &small());
    assert!(clear(&plain.unwrap(), b"Hello"));
}

#[test]
fn nothing_in_an_envelope_can_be_changed() {
    for envelope in [encrypted("a", &["a"]), Envelope::new(&settings())] {
        for record in [small(), long(b"All work and no play. ".repeat(20))] {
            let sealed = envelope.seal(b"here", &record).unwrap();
            for at in 0..sealed.len() {
                for bit in 0..8 {
                    let mut changed = sealed.clone();
                    changed[at] ^= 1 << bit;
                    match envelope.open(b"here", changed.into()) {
                        Err(_) => {}
                        // A bit of the compressed form that means nothing; encrypted, each has a meaning.
                        Ok(same) => assert!(same == record && envelope.keys.is_none(), "bit {bit} of byte {at}"),
                    }
                }
                assert!(envelope.open(b"here", sealed[..at].to_vec().into()).is_err(), "{at} bytes");
            }
        }
    }
}

#[test]
fn keys_are_rotated() {
    let old = encrypted("a1", &["a1"]);
    let added = encrypted("a1", &["a1", "b2"]);
    let switched = encrypted("b2", &["a1", "b2"]);
    let removed = encrypted("b2", &["b2"]);
    let open = |envelope: &Envelope, from: &Envelope| {
        envelope.open(b"x", from.seal(b"x", &small()).unwrap().into()).map(|record| assert_eq!(record, small()))
    };
    for (envelope, from) in [(&added, &old), (&old, &added), (&switched, &added), (&added, &switched)] {
        open(envelope, from).unwrap();
    }
    open(&removed, &switched).unwrap();
    assert_eq!(open(&removed, &added), Err(Corrupt::UnknownKey(id("a1"))));
    assert_eq!(open(&old, &switched), Err(Corrupt::UnknownKey(id("b2"))));
    // The same id with another secret.
    assert_eq!(open(&encrypted("a1", &["a1"]), &old), Ok(()));
    let other = Keys::new(id("a1"), vec![(id("a1"), key(b'z'))]);
    assert_eq!(open(&Envelope::new(&Settings { encryption: other, ..settings() }), &old), Err(Corrupt::Forged));
    // Without keys, and with keys before all of it was encrypted.
    let plain = Envelope::new(&settings());
    assert_eq!(open(&plain, &old), Err(Corrupt::UnknownKey(id("a1"))));
    assert_eq!(open(&old, &plain), Err(Corrupt::NotEncrypted));
}

#[test]
fn keys_are_compared_but_not_shown() {
    assert_eq!(keys("a", &["a", "b"]), keys("a", &["a", "b"]));
    assert_ne!(keys("a", &["a", "b"]), keys("b", &["a", "b"]));
    assert!(key(1) != key(2));
    assert!(Keys::new(id("c"), vec![(id("a"), key(1))]).is_none());
    assert!(CipherKey::new(&[0; 31]).is_err() && CipherKey::new(&[0; 33]).is_err());
    let shown = format!("{:?}", encrypted("a", &["a", "b"]));
    assert!(shown.contains(r#"Keys { current: "a", .. }"#), "{shown}");
}

#[test]
fn an_envelope_serves_all_threads() {
    fn check<T: Send + Sync>() {}
    check::<Envelope>();
    check::<Record>();
}
