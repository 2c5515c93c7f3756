//! A connection matches answers to requests in order, agrees on versions, and is given up on any doubt.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod fake;

use std::time::Duration;

use fake::{FakeCluster, Fault, State};
use sendlog_client::{ClientConfig, Connection, ConnectionError};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::messages::{FetchRequest, FetchTopic, MetadataRequest, ProduceRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn config() -> ClientConfig {
    ClientConfig { request_timeout: Duration::from_millis(300), ..ClientConfig::new("") }
}

#[tokio::test]
async fn many_requests_are_answered_in_order() {
    let cluster = FakeCluster::start("t", 3).await;
    let connection = Connection::connect(cluster.address(), &config()).await.unwrap();
    let mut answers = Vec::new();
    for version in (0..=13).cycle().take(200) {
        let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        answers.push(connection.send(&request, version).await.unwrap());
    }
    for answer in answers {
        assert_eq!(answer.wait().await.unwrap().brokers.len(), 1);
    }
}

#[tokio::test]
async fn an_abandoned_answer_disturbs_nobody() {
    let cluster = FakeCluster::start("t", 3).await;
    let connection = Connection::connect(cluster.address(), &config()).await.unwrap();
    for _ in 0..10 {
        drop(connection.send(&MetadataRequest::default(), 9).await.unwrap());
        connection.call(&MetadataRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn an_old_broker_is_met_at_its_version() {
    for api_versions_max in [0, 1, 2, 3, 4] {
        let advertised = [(ApiKey::Metadata, (0, 5)), (ApiKey::Fetch, (4, 4)), (ApiKey::Produce, (14, 20))];
        let state = State { api_versions_max, advertised: advertised.into(), ..State::default() };
        let cluster = FakeCluster::with(state, 1, "t", 1).await;
        let connection = Connection::connect(cluster.address(), &config()).await.unwrap();
        assert_eq!(connection.version_of::<MetadataRequest>(i16::MAX).unwrap(), 5);
        assert_eq!(connection.version_of::<FetchRequest>(17).unwrap(), 4);
        let error = connection.version_of::<ProduceRequest>(12).unwrap_err();
        assert!(matches!(error, ConnectionError::NoCommonVersion { .. }), "{error}");
        assert!(error.is_harmless());
        connection.call(&MetadataRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_late_answer_fails_all_that_wait() {
    let cluster = FakeCluster::start("t", 1).await;
    let connection = Connection::connect(cluster.address(), &config()).await.unwrap();
    cluster.fail_fetch([Fault::Silence]);
    let topic = FetchTopic { topic: "t".to_owned(), ..FetchTopic::default() };
    let fetch = FetchRequest { topics: vec![topic], ..FetchRequest::default() };
    let first = connection.send(&fetch, 12).await.unwrap();
    let second = connection.send(&MetadataRequest::default(), 9).await.unwrap();
    let error = first.wait().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Timeout { api: "Fetch", timeout_ms: 300, .. }), "{error}");
    let error = second.wait().await.unwrap_err();
    assert!(matches!(error, ConnectionError::Timeout { .. }), "{error}");
    let error = connection.call(&MetadataRequest::default()).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Timeout { api: "Fetch", .. }), "the first failure: {error}");
    assert!(connection.failure().is_some());
}

#[tokio::test]
async fn a_closed_connection_says_so() {
    let cluster = FakeCluster::start("t", 1).await;
    let connection = Connection::connect(cluster.address(), &config()).await.unwrap();
    cluster.fail_fetch([Fault::CloseBefore]);
    let error = connection.call(&FetchRequest::default()).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = Connection::connect(&address, &config()).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

/// A peer that reads a request and then sends these bytes.
async fn peer_that_sends(bytes: &'static [u8]) -> ConnectionError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peer = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert_ne!(socket.read(&mut request).await.unwrap(), 0);
        socket.write_all(bytes).await.unwrap();
        // Until the client gives up.
        let _ = socket.read(&mut request).await;
    });
    let error = Connection::connect(&address, &config()).await.unwrap_err();
    peer.await.unwrap();
    error
}

#[tokio::test]
async fn what_is_no_broker_is_recognised() {
    let error = peer_that_sends(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert!(matches!(error, ConnectionError::Frame { .. }), "{error}");
    let error = peer_that_sends(&[0xff; 4]).await;
    assert!(matches!(error, ConnectionError::Frame { .. }), "{error}");
    let error = peer_that_sends(&[0, 0, 0, 4, 0, 0, 0, 9]).await;
    assert!(matches!(error, ConnectionError::OutOfOrder { expected: 0, found: 9, .. }), "{error}");
    let error = peer_that_sends(&[0, 0, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4]).await;
    assert!(matches!(error, ConnectionError::Decode { .. }), "{error}");
    let error = peer_that_sends(&[0, 0, 0, 4, 0, 0, 0, 0]).await;
    assert!(matches!(error, ConnectionError::Decode { .. }), "{error}");
    let error = peer_that_sends(&[0, 0, 0, 3, 0, 0, 0]).await;
    assert!(matches!(error, ConnectionError::Decode { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    // A good answer to ApiVersions v4 with no APIs in it, twice.
    const GOOD: [u8; 17] = [0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert_ne!(socket.read(&mut request).await.unwrap(), 0);
        socket.write_all(&[GOOD.as_slice(), &GOOD[..16]].concat()).await.unwrap();
        let _ = socket.read(&mut request).await;
    });
    let _ = Connection::connect(&address, &config()).await;
}
