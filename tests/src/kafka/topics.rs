//! Topics and their settings.

use std::io;

use sendlog_protocol::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DeleteRecordsPartition, DeleteRecordsRequest,
    DeleteRecordsTopic, DeleteTopicState, DeleteTopicsRequest, DescribeConfigsRequest,
    DescribeConfigsResource, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
    IncrementalAlterableConfig, MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};
use uuid::Uuid;

use super::{Kafka, assert_ok};

const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const SET: i8 = 0;

impl Kafka {
    /// Creates a topic of so many partitions, with settings, and returns its id.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        self.create_topics(&[name], partitions, configs)[0]
    }

    /// Creates topics in one request.
    ///
    /// # Panics
    /// When the broker refuses one.
    pub fn create_topics(&mut self, names: &[&str], partitions: i32, configs: &[(&str, &str)]) -> Vec<Uuid> {
        self.try_create_topics(names, partitions, configs).expect("a creation is answered")
    }

    /// As [`create_topics`](Self::create_topics), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the broker refuses one.
    pub fn try_create_topics(
        &mut self,
        names: &[&str],
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> io::Result<Vec<Uuid>> {
        let topic = |name: &&str| CreatableTopic {
            name: (*name).to_owned(),
            num_partitions: partitions,
            replication_factor: -1,
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: (*name).to_owned(),
                    value: Some((*value).to_owned()),
                })
                .collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: names.iter().map(topic).collect(),
            ..CreateTopicsRequest::default()
        };
        let created = self.call(7, &request)?.topics;
        assert_eq!(created.len(), names.len());
        for (result, name) in created.iter().zip(names) {
            assert_eq!(result.name, *name);
            assert_ok(result.error_code, result.error_message.as_deref(), name);
        }
        Ok(created.iter().map(|result| result.topic_id).collect())
    }

    /// Why a topic of this name, with one partition, cannot be created.
    ///
    /// # Panics
    /// When it can.
    pub fn create_topic_refused(&mut self, name: &str) -> String {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: 1,
            replication_factor: -1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let result = self.ask(7, &request).topics.swap_remove(0);
        assert_ne!(result.error_code, 0, "{name} can be created");
        result.error_message.unwrap_or_default()
    }

    /// Deletes a topic.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn delete_topic(&mut self, name: &str) {
        self.try_delete_topic(name).expect("a deletion is answered");
    }

    /// As [`delete_topic`](Self::delete_topic), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn try_delete_topic(&mut self, name: &str) -> io::Result<()> {
        let topics = vec![DeleteTopicState { name: Some(name.to_owned()), ..DeleteTopicState::default() }];
        let request = DeleteTopicsRequest { topics, timeout_ms: 60_000, ..DeleteTopicsRequest::default() };
        let deleted = self.call(6, &request)?;
        let result = &deleted.responses[0];
        assert_ok(result.error_code, result.error_message.as_deref(), name);
        Ok(())
    }

    /// What the broker says of a topic; nothing is created by asking.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn describe_topic(&mut self, name: &str) -> MetadataResponseTopic {
        self.try_describe_topic(name).expect("metadata is answered")
    }

    /// As [`describe_topic`](Self::describe_topic), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    pub fn try_describe_topic(&mut self, name: &str) -> io::Result<MetadataResponseTopic> {
        let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
        Ok(self.try_metadata(Some(vec![topic]))?.swap_remove(0))
    }

    /// All topics, by name.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn all_topics(&mut self) -> Vec<MetadataResponseTopic> {
        let mut topics = self.try_metadata(None).expect("metadata is answered");
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        topics
    }

    fn try_metadata(
        &mut self,
        topics: Option<Vec<MetadataRequestTopic>>,
    ) -> io::Result<Vec<MetadataResponseTopic>> {
        let request =
            MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        Ok(self.call(13, &request)?.topics)
    }

    /// The id of a topic.
    ///
    /// # Panics
    /// When there is no such topic.
    pub fn topic_id(&mut self, name: &str) -> Uuid {
        let topic = self.describe_topic(name);
        assert_ok(topic.error_code, None, name);
        topic.topic_id
    }

    /// A setting of a topic, as DescribeConfigs shows it.
    ///
    /// # Panics
    /// When there is no such topic or setting.
    pub fn topic_config(&mut self, topic: &str, setting: &str) -> String {
        self.config(TOPIC_RESOURCE, topic, setting)
    }

    /// A setting of the broker, as it is in force.
    ///
    /// # Panics
    /// When there is none.
    pub fn broker_config(&mut self, setting: &str) -> String {
        self.config(BROKER_RESOURCE, "1", setting)
    }

    fn config(&mut self, resource_type: i8, name: &str, setting: &str) -> String {
        let resource = DescribeConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configuration_keys: Some(vec![setting.to_owned()]),
        };
        let request =
            DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        let result = self.ask(4, &request).results.swap_remove(0);
        assert_ok(result.error_code, result.error_message.as_deref(), name);
        let found = result.configs.into_iter().find(|config| config.name == setting);
        let value = found.and_then(|config| config.value);
        value.unwrap_or_else(|| panic!("{name} has no setting {setting}"))
    }

    /// Sets a setting of a topic.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn set_topic_config(&mut self, topic: &str, setting: &str, value: &str) {
        self.try_set_topic_config(topic, setting, value).expect("a change is answered");
    }

    /// As [`set_topic_config`](Self::set_topic_config), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn try_set_topic_config(&mut self, topic: &str, setting: &str, value: &str) -> io::Result<()> {
        let config = IncrementalAlterableConfig {
            name: setting.to_owned(),
            config_operation: SET,
            value: Some(value.to_owned()),
        };
        let resource = IncrementalAlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.to_owned(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let result = &self.call(1, &request)?.responses[0];
        assert_ok(result.error_code, result.error_message.as_deref(), setting);
        Ok(())
    }

    /// Deletes the records of partition 0 below an offset, and returns the log start.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn delete_records(&mut self, topic: &str, before: i64) -> i64 {
        self.try_delete_records(topic, before).expect("a deletion is answered")
    }

    /// As [`delete_records`](Self::delete_records), of a broker that may be killed.
    ///
    /// # Errors
    /// When the broker closes the connection.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn try_delete_records(&mut self, topic: &str, before: i64) -> io::Result<i64> {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: before }];
        let topics = vec![DeleteRecordsTopic { name: topic.to_owned(), partitions }];
        let answer = self.call(2, &DeleteRecordsRequest { topics, timeout_ms: 30_000 })?;
        let result = &answer.topics[0].partitions[0];
        assert_ok(result.error_code, None, topic);
        Ok(result.low_watermark)
    }
}
