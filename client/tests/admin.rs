//! The admin client does what it says once, however often it has to ask.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

mod fake;

use std::time::Duration;

use fake::{FakeCluster, Fault, State};
use sendlog_client::{
    Admin, BrokerError, ClientConfig, ClientError, ConfigChange, ConfigResource, NewTopic, OffsetQuery,
};
use sendlog_protocol::error_code::ErrorCode;

async fn start() -> (FakeCluster, Admin) {
    let cluster = FakeCluster::with(State::default(), 2, "t", 2).await;
    let client = ClientConfig {
        retry_backoff: Duration::from_millis(1),
        api_timeout: Duration::from_secs(2),
        ..ClientConfig::new(cluster.address())
    };
    let admin = Admin::connect(client).await.unwrap();
    (cluster, admin)
}

fn fail(cluster: &FakeCluster, faults: impl IntoIterator<Item = Fault>) {
    cluster.state.admin_faults.lock().unwrap().extend(faults);
}

fn code(error: &ClientError) -> Option<ErrorCode> {
    let ClientError::Broker { error, .. } = error else { panic!("{error}") };
    BrokerError::error_code(error)
}

#[tokio::test]
async fn topics_are_created_described_and_deleted() {
    let (cluster, admin) = start().await;
    let topic = NewTopic::new("new").partitions(3).config("retention.ms", "1");
    admin.create_topic(&topic).await.unwrap();
    assert_eq!(admin.describe_topic("new").await.unwrap().partitions.len(), 3);
    let error = admin.create_topic(&topic).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::TopicAlreadyExists));
    assert!(error.to_string().contains("said the fake"), "{error}");

    admin.create_partitions("new", 5).await.unwrap();
    assert_eq!(admin.list_topics().await.unwrap()["new"].partitions.len(), 5);
    let error = admin.create_partitions("new", 5).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::InvalidPartitions));

    admin.delete_topic("new").await.unwrap();
    let error = admin.delete_topic("new").await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error}");
    let error = admin.describe_topic("new").await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error}");
    assert!(cluster.state.topics.lock().unwrap().contains_key("t"));
}

#[tokio::test]
async fn a_lost_answer_does_not_turn_success_into_failure() {
    let (cluster, admin) = start().await;
    for faults in [
        [Fault::CloseAfter, Fault::None],
        [Fault::CloseBefore, Fault::None],
        [Fault::Error(ErrorCode::NotController), Fault::Error(ErrorCode::RequestTimedOut)],
    ] {
        fail(&cluster, faults);
        admin.create_topic(&NewTopic::new("new")).await.unwrap();
        fail(&cluster, faults);
        admin.delete_topic("new").await.unwrap();
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_for_ever() {
    let (cluster, admin) = start().await;
    fail(&cluster, [Fault::Error(ErrorCode::InvalidTopicException)]);
    let error = admin.create_topic(&NewTopic::new("new")).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::InvalidTopicException));
    fail(&cluster, std::iter::repeat_n(Fault::Error(ErrorCode::NotController), 10_000));
    let error = admin.create_topic(&NewTopic::new("new")).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { timeout_ms: 2000, .. }), "{error}");
    assert!(error.to_string().contains("NOT_CONTROLLER"), "{error}");
}

#[tokio::test]
async fn configs_are_set_and_reset() {
    let (_cluster, admin) = start().await;
    let resource = ConfigResource::Topic("t".to_owned());
    let retention = async || {
        let configs = admin.describe_configs(&resource).await.unwrap();
        let entry = configs.into_iter().find(|entry| entry.name == "retention.ms").unwrap();
        (entry.value.unwrap(), entry.is_default)
    };
    assert_eq!(retention().await, ("604800000".to_owned(), true));
    let set = ConfigChange::Set("retention.ms".to_owned(), "5".to_owned());
    admin.alter_configs(&resource, &[set]).await.unwrap();
    assert_eq!(retention().await, ("5".to_owned(), false));
    let reset = ConfigChange::Delete("retention.ms".to_owned());
    admin.alter_configs(&resource, &[reset]).await.unwrap();
    assert_eq!(retention().await, ("604800000".to_owned(), true));
}

#[tokio::test]
async fn offsets_follow_the_records() {
    let (cluster, admin) = start().await;
    let mut builder = sendlog_protocol::records::BatchBuilder::new();
    for timestamp in [100, 300, 200] {
        let record = sendlog_protocol::records::NewRecord { timestamp, ..Default::default() };
        builder.add(&record).unwrap();
    }
    let stamp = sendlog_protocol::records::ProducerStamp::NONE;
    let batch = builder.build(sendlog_client::Compression::None, stamp).unwrap();
    cluster.with_log("t", 1, |log| log.push(&batch));
    // The leader is another one than was known.
    cluster.move_leader("t", 1, 1);
    let look_up = async |query| admin.list_offset("t", 1, query).await.unwrap();
    assert_eq!(look_up(OffsetQuery::Earliest).await, Some(0));
    assert_eq!(look_up(OffsetQuery::Latest).await, Some(3));
    assert_eq!(look_up(OffsetQuery::Timestamp(101)).await, Some(1));
    assert_eq!(look_up(OffsetQuery::Timestamp(301)).await, None);
    assert_eq!(admin.delete_records("t", 1, Some(2)).await.unwrap(), 2);
    assert_eq!(look_up(OffsetQuery::Earliest).await, Some(2));
    let error = admin.delete_records("t", 1, Some(4)).await.unwrap_err();
    assert_eq!(code(&error), Some(ErrorCode::OffsetOutOfRange));
    assert_eq!(admin.delete_records("t", 1, None).await.unwrap(), 3);
    let error = admin.list_offset("t", 2, OffsetQuery::Latest).await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownPartition { .. }), "{error}");
}

#[tokio::test]
async fn the_cluster_is_described() {
    let (_cluster, admin) = start().await;
    let cluster = admin.cluster_info().await.unwrap();
    assert_eq!((cluster.cluster_id.as_deref(), cluster.controller_id), (Some("fake"), 0));
    assert_eq!(cluster.brokers.keys().copied().collect::<Vec<_>>(), [0, 1]);
}
