//! The table of endpoints, and who may listen.

use super::*;
use crate::shutdown::Drain;

#[test]
fn a_second_gateway_does_not_share_the_address_for_operators() {
    let settings = |address| listener_settings(address, None);
    let first = listener(&settings("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let error = listener(&settings(first.address()), None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn every_endpoint_stands_there_once_and_its_schemas_can_be_used() {
    let all = endpoints();
    for (index, endpoint) in all.iter().enumerate() {
        let same = |other: &Endpoint| other.method == endpoint.method && other.path == endpoint.path;
        assert_eq!(all.iter().position(same), Some(index), "{endpoint:?} stands there twice");
        assert!(endpoint.path == "/metrics" || endpoint.path.starts_with("/api/v1/"), "{endpoint:?}");
        if let endpoint::Takes::Json { schema, .. } = &endpoint.takes {
            assert!(schema.is_some(), "{endpoint:?} takes what no JSON Schema describes");
        }
        let gives = endpoint.gives.schema.clone();
        assert!(
            gives.is_some_and(|schema| crate::plugin::schema::Schema::new(schema).is_ok()),
            "{endpoint:?} gives nothing"
        );
    }
    let document = openapi::document(all.iter());
    let names: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let unique: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!((names.len(), unique.len()), (all.len(), all.len()));
}

#[tokio::test]
async fn a_socket_is_replaced_only_where_nobody_listens_or_who_does_is_about_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let socket = Socket { path: folder.path().join("admin.sock"), mode: 0o600 };
    let first = local(&socket, Predecessor::Respected).unwrap();
    let error = local(&socket, Predecessor::Respected).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let second = local(&socket, Predecessor::Replaced).unwrap();
    drop((first, second));
    local(&socket, Predecessor::Respected).unwrap();
    std::fs::remove_file(&socket.path).unwrap();
    std::fs::write(&socket.path, "precious").unwrap();
    assert_eq!(local(&socket, Predecessor::Replaced).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let _ = Drain::new();
}

#[test]
fn a_configuration_may_be_as_long_as_its_file() {
    let mut documents = 0;
    for endpoint in endpoints() {
        let endpoint::Takes::Json { source, bytes_max, .. } = &endpoint.takes else { continue };
        let holds_document = source["properties"].get("document").is_some();
        documents += usize::from(holds_document);
        assert_eq!(*bytes_max > body::JSON_BYTES_MAX, holds_document, "{endpoint:?}");
        assert!(
            endpoint.role == Role::Admin || !holds_document,
            "{endpoint:?}: only those who may change it send so much"
        );
    }
    assert_eq!(documents, 3);
}
