//! ApiVersions promises nothing that is not kept, is answered whatever is asked, and what it does not promise closes
//! the connection with a reason in the log.

use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::decode_response_header;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{ApiVersion, ApiVersionsRequest};
use sendlog_protocol::wire::Reader;
use sendlog_tests::every_request;
use sendlog_tests::wire_client::{WireClient, raw_frame, with_length};
use sendlog_tests::{Broker, BrokerOptions};

/// What the broker promises.
fn advertised(client: &mut WireClient) -> Vec<ApiVersion> {
    let response = client.call(0, &ApiVersionsRequest::default());
    assert_eq!(response.error_code, ErrorCode::None.code());
    response.api_keys
}

/// The table in docs/protocol.md: key and versions.
fn documented() -> Vec<ApiVersion> {
    let document = include_str!("../../docs/protocol.md");
    let row = |line: &str| {
        let mut cells = line.trim_start_matches('|').split('|').map(str::trim);
        let api_key = cells.next()?.parse().ok()?;
        let versions = cells.nth(1)?;
        let (min, max) = versions.split_once('-').unwrap_or((versions, versions));
        Some(ApiVersion { api_key, min_version: min.parse().ok()?, max_version: max.parse().ok()? })
    };
    document.lines().filter_map(row).collect()
}

#[test]
fn the_list_is_sorted_and_the_documented_one() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let listed = advertised(&mut client);
    assert!(listed.is_sorted_by_key(|api| api.api_key), "{listed:?}");
    assert!(
        listed.iter().all(|api| 0 <= api.min_version && api.min_version <= api.max_version),
        "{listed:?}"
    );
    let mut documented = documented();
    // Served from 3 on; librdkafka up to 2.11.0 wants to see 0 (KAFKA-18659).
    documented[0].min_version = 0;
    assert_eq!(listed, documented);
    for version in 1..=5 {
        let request = ApiVersionsRequest {
            client_software_name: "scenario".to_owned(),
            client_software_version: "1.0-rc.2".to_owned(),
            ..Default::default()
        };
        assert_eq!(client.call(version, &request).api_keys, listed);
    }
}

#[test]
fn every_version_of_every_api_is_answered() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let mut correlation_id = 1000;
    for ApiVersion { api_key, min_version, max_version } in advertised(&mut client) {
        let key = ApiKey::from_code(api_key).expect("an API of ours");
        let request = every_request::of(key);
        for version in min_version..=max_version {
            correlation_id += 1;
            let frame = (request.default_frame)(version, correlation_id);
            client.send_bytes(&frame.expect("a default body fits")).expect("the broker takes it");
            let answer = client.receive_frame().expect("the broker answers in time");
            let answer = answer.unwrap_or_else(|| panic!("{key:?} v{version} closes the connection"));
            let mut reader = Reader::new(answer);
            assert_eq!(decode_response_header(key, version, &mut reader), Ok(correlation_id));
            let checked = (request.check_answer)(reader.into_remaining(), version);
            assert_eq!(checked, Ok(()), "{key:?} v{version}");
        }
    }
}

/// KIP-511: error 35 in version 0, and the versions of ApiVersions itself. The body of the request is not looked at.
#[test]
fn unknown_versions_of_api_versions_are_answered_in_version_0() {
    let broker = Broker::start(BrokerOptions::default());
    for version in [6, 7, 99, 32_767, -1, i16::MIN] {
        for body in [&b""[..], b"\x09scenario\x021\0", &[0xff; 40]] {
            let mut client = WireClient::connect(broker.address());
            let mut content = vec![0, 18];
            content.extend_from_slice(&version.to_be_bytes());
            content.extend_from_slice(b"\0\0\0\x05\0\x02me");
            content.extend_from_slice(body);
            client.send_bytes(&with_length(&content)).expect("the broker takes it");
            let answer = client.receive_frame().expect("the broker answers in time");
            let expected = [0, 0, 0, 5, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5];
            assert_eq!(answer.as_deref(), Some(&expected[..]), "version {version}");
            // The client goes on in a version that the broker has.
            assert!(!advertised(&mut client).is_empty());
        }
    }
}

#[test]
fn the_client_names_its_software_properly() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    for (name, version, code) in [
        ("apache-kafka-java", "4.4.0", ErrorCode::None),
        ("a", "1", ErrorCode::None),
        ("", "", ErrorCode::InvalidRequest),
        ("ok", "", ErrorCode::InvalidRequest),
        ("-leading", "1", ErrorCode::InvalidRequest),
        ("trailing.", "1", ErrorCode::InvalidRequest),
        ("two words", "1", ErrorCode::InvalidRequest),
        ("line\nbreak", "1", ErrorCode::InvalidRequest),
        ("name", "1\u{1b}[31m", ErrorCode::InvalidRequest),
        ("h\u{e4}", "1", ErrorCode::InvalidRequest),
    ] {
        for api_version in [3, 4, 5] {
            let request = ApiVersionsRequest {
                client_software_name: name.to_owned(),
                client_software_version: version.to_owned(),
                ..Default::default()
            };
            let response = client.call(api_version, &request);
            assert_eq!(response.error_code, code.code(), "{name:?} {version:?}");
        }
    }
}

#[test]
fn what_is_not_served_closes_the_connection_with_a_reason() {
    let broker = Broker::start(BrokerOptions::default());
    let listed = advertised(&mut WireClient::connect(broker.address()));
    let mut refused: Vec<(i16, i16)> =
        vec![(-1, 0), (4, 0), (71, 0), (999, 3), (i16::MAX, i16::MAX), (i16::MIN, 0)];
    for api in listed.iter().filter(|api| api.api_key != ApiKey::ApiVersions.code()) {
        refused.extend([(api.api_key, api.min_version - 1), (api.api_key, api.max_version + 1)]);
        refused.extend([(api.api_key, i16::MAX), (api.api_key, i16::MIN)]);
    }
    for (index, (key, version)) in refused.into_iter().enumerate() {
        let mut client = WireClient::connect(broker.address());
        let mut content = Vec::new();
        content.extend_from_slice(&key.to_be_bytes());
        content.extend_from_slice(&version.to_be_bytes());
        content.extend_from_slice(b"\0\0\0\x05\xff\xff\0\0\0\0");
        client.send_bytes(&with_length(&content)).expect("the broker takes it");
        let answer = client.receive_frame().expect("the broker closes in time");
        assert_eq!(answer, None, "key {key} version {version}");
        // The broker writes 20 such lines a second at most.
        if index < 15 {
            let line = broker.wait_for_log(&format!("{} ", client.local_address()));
            assert!(line.contains(&format!("API key {key} version {version}")), "{line}");
            assert!(!line.contains('\u{1b}'), "colours, though nobody looks: {line:?}");
        }
    }
}

/// A request that is served right after one whose body is too long: the broker does not guess where it ends.
#[test]
fn bytes_after_the_body_close_the_connection_with_a_reason() {
    let broker = Broker::start(BrokerOptions::default());
    let junk = [b'!'; 40];
    // There may be up to 16: some clients send a few.
    for (key, version, bytes) in [
        (ApiKey::Metadata, 1, 17),
        (ApiKey::Metadata, 12, 17),
        (ApiKey::ListOffsets, 6, 40),
        (ApiKey::DescribeCluster, 0, 17),
    ] {
        let mut client = WireClient::connect(broker.address());
        let honest = (every_request::of(key).default_frame)(version, 1).expect("a default body fits");
        // Length, key, version, correlation id and client id; in flexible versions the header's tags as well.
        let header = if key.flexible_from() <= version { 15 } else { 14 };
        let body = [&honest[header..], &junk[..bytes]].concat();
        client.send_bytes(&raw_frame(key, version, 1, &body)).expect("the broker takes it");
        client.expect_close();
        let line = broker.wait_for_log(&format!("{} ", client.local_address()));
        assert!(line.contains(&format!("{bytes} bytes left")), "{line}");
    }
}

/// librdkafka sends three bytes behind a Metadata request, kafka-go one behind DescribeAcls.
#[test]
fn a_few_stray_bytes_behind_a_request_are_overlooked() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let junk = [1; 16];
    let cases = [(ApiKey::Metadata, 13, 3), (ApiKey::DescribeAcls, 3, 1), (ApiKey::ListOffsets, 7, 16)];
    for (key, version, bytes) in cases {
        let honest = (every_request::of(key).default_frame)(version, 1).expect("a default body fits");
        let body = [&honest[15..], &junk[..bytes]].concat();
        client.send_bytes(&raw_frame(key, version, 1, &body)).expect("the broker takes it");
        assert!(client.receive_frame().expect("no error").is_some(), "the connection was closed: {key:?}");
    }
}
