//! Topics and partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    CreatableTopic, CreatableTopicConfig, CreatePartitionsRequest, CreatePartitionsTopic,
    CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest,
};

use super::{Admin, check, incomplete};
use crate::error::ClientError;
use crate::metadata::TopicMetadata;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions; `None` for the broker's default.
    pub partitions: Option<i32>,
    /// Replicas of each partition; `None` for the broker's default.
    pub replication: Option<i16>,
    /// Configs by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

/// A topic as it is described.
pub type TopicInfo = Arc<TopicMetadata>;

impl NewTopic {
    /// A topic with the broker's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication: None, configs: BTreeMap::new() }
    }

    /// The same with this many partitions.
    #[must_use]
    pub fn partitions(self, partitions: i32) -> Self {
        Self { partitions: Some(partitions), ..self }
    }

    /// The same with one more config.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }
}

impl Admin {
    /// Creates a topic.
    ///
    /// # Errors
    /// The broker refuses, with TOPIC_ALREADY_EXISTS for one that is there.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), ClientError> {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication.unwrap_or(-1),
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let what = format!("topic {}", topic.name);
        let (what, request) = (&what, &request);
        self.retry(what, |attempt| async move {
            let response = self.call_controller(request).await?;
            let result = response.topics.into_iter().next().ok_or_else(|| incomplete(what.as_str()))?;
            if 0 < attempt && result.error_code == ErrorCode::TopicAlreadyExists.code() {
                // By the first attempt, whose answer did not come.
                return Ok(());
            }
            check(what.as_str(), result.error_code, result.error_message)
        })
        .await
    }

    /// Deletes a topic and all its records.
    ///
    /// # Errors
    /// The broker refuses; the topic is unknown.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: Some(name.to_owned()), ..DeleteTopicState::default() }],
            topic_names: vec![name.to_owned()],
            timeout_ms: self.timeout_ms(),
        };
        let what = format!("topic {name}");
        let (what, request) = (&what, &request);
        self.retry(what, |attempt| async move {
            let response = self.call_controller(request).await?;
            let result = response.responses.into_iter().next().ok_or_else(|| incomplete(what.as_str()))?;
            if result.error_code == ErrorCode::UnknownTopicOrPartition.code() {
                if 0 < attempt {
                    return Ok(());
                }
                // Not worth the retries that this code stands for elsewhere.
                return Err(unknown_topic(name));
            }
            check(what.as_str(), result.error_code, result.error_message)
        })
        .await
    }

    /// Adds partitions to a topic, up to `total`.
    ///
    /// # Errors
    /// The broker refuses, with INVALID_PARTITIONS for a total that is not larger than the present one.
    pub async fn create_partitions(&self, topic: &str, total: i32) -> Result<(), ClientError> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: topic.to_owned(), count: total, assignments: None }],
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let what = format!("partitions of {topic}");
        self.retry(&what, |_| async {
            let response = self.call_controller(&request).await?;
            let result = response.results.into_iter().next().ok_or_else(|| incomplete(what.as_str()))?;
            check(what.as_str(), result.error_code, result.error_message)
        })
        .await
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn list_topics(&self) -> Result<BTreeMap<String, TopicInfo>, ClientError> {
        self.retry("topics", |_| async {
            let request = self.cluster.metadata_request(None);
            let response = self.cluster.call_any(&request).await?;
            let mut metadata = crate::metadata::Metadata::default();
            metadata.apply(response);
            let topics = metadata.topics.into_iter();
            Ok(topics.filter_map(|(name, topic)| Some((name, topic.ok()?))).collect())
        })
        .await
    }

    /// A topic and its partitions.
    ///
    /// # Errors
    /// The topic is unknown.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicInfo, ClientError> {
        self.list_topics().await?.remove(name).ok_or_else(|| unknown_topic(name))
    }
}

fn unknown_topic(name: &str) -> ClientError {
    ClientError::UnknownTopic { topic: name.to_owned() }
}
