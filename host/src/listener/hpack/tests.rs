//! The examples of RFC 7541 appendix C, and what an attacker would write.

use http::{HeaderName, HeaderValue};

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<String, Wrong> {
    let mut list = List::new(65_536, 100);
    decoder.decode(block, &mut list)?;
    let fields = list.fields.iter().map(|field| match field {
        Field::Method(method) => method.to_string(),
        Field::Scheme(scheme) => scheme.to_string(),
        Field::Authority(authority, _) => authority.to_string(),
        Field::Path(path) => path.to_string(),
        Field::Protocol(protocol) => format!("{protocol:?}"),
        Field::Regular(name, value) => format!("{name}={}", value.to_str().unwrap()),
        Field::Malformed(why) => format!("!{why}"),
    });
    Ok(fields.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_examples_of_the_standard() {
    let expected = [
        "GET http / www.example.com",
        "GET http / www.example.com cache-control=no-cache",
        "GET https /index.html www.example.com custom-key=custom-value",
    ];
    // C.3 and C.4.
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let packed = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, packed] {
        let mut decoder = Decoder::new();
        for (block, expected) in blocks.iter().zip(expected) {
            assert_eq!(decode(&mut decoder, &hex(block)).unwrap(), expected);
        }
    }
}

#[test]
fn wrong_blocks_are_refused() {
    for block in [
        "80",                                      // index 0
        "be",                                      // an index beyond the table
        "7f00 0161",                               // a name beyond the table
        "8220",                                    // a size behind a field
        "3fe2 1f",                                 // a size beyond the limit
        "ffff ffff ff7f",                          // a number without end
        "4001",                                    // ends within a name
        "0085 f2b2 4a84 ff84 4950 9fff",           // padding of more than seven bits
        "0085 f2b2 4a84 ff83 4950 90",             // padding with zeros
        "0085 f2b2 4a84 ff88 4951 ffff fffa 7fff", // the end symbol
    ] {
        assert!(decode(&mut Decoder::new(), &hex(block)).is_err(), "{block}");
    }
}

#[test]
fn what_is_encoded_is_decoded_again_and_what_repeats_costs_a_byte() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let name = HeaderName::from_static("x-served-by");
    let mut large = 0;
    for round in 0..300_u32 {
        if round == 100 {
            encoder.limit(100);
            encoder.limit(4096);
        }
        let (mut block, mut expected) = (Vec::new(), Vec::new());
        encoder.begin(&mut block);
        for (name, value) in [
            (&name, "worker".to_owned()),
            (&http::header::ETAG, format!("{round}")),
            (&http::header::SERVER, "s".repeat(200)),
            (&http::header::AGE, format!("{}", round / 3)),
        ] {
            encoder.field(name, &HeaderValue::try_from(&value).unwrap(), &mut block);
            expected.push(format!("{name}={value}"));
        }
        assert_eq!(decode(&mut decoder, &block).unwrap(), expected.join(" "));
        large += u32::from(round > 110 && block.len() > 20);
    }
    // The table is a queue: what repeats leaves it at times, and enters again.
    assert!(large < 10, "{large} blocks of 189 were large");
}
