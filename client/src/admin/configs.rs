//! Configs of topics and brokers.

use sendlog_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResource, IncrementalAlterableConfig,
};

use super::{Admin, check, incomplete};
use crate::error::ClientError;

/// What has configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker, by node id.
    Broker(i32),
}

impl ConfigResource {
    /// Kafka's number for the kind of resource.
    fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(node_id) => node_id.to_string(),
        }
    }
}

/// A config and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: String,
    /// Value; hidden for secrets.
    pub value: Option<String>,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether nobody set it.
    pub is_default: bool,
    /// What it means, if the broker says.
    pub documentation: Option<String>,
}

/// A change of one config; the others stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets a value.
    Set(String, String),
    /// Goes back to the default.
    Delete(String),
}

/// Source of a config that nobody set (`DescribeConfigsResponse`).
const SOURCE_DEFAULT: i8 = 5;

impl Admin {
    /// All configs of a topic or broker.
    ///
    /// # Errors
    /// The broker refuses; the resource is unknown.
    pub async fn describe_configs(&self, resource: &ConfigResource) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name(),
                configuration_keys: None,
            }],
            include_documentation: true,
            ..DescribeConfigsRequest::default()
        };
        let what = format!("configs of {}", resource.name());
        self.retry(&what, |_| async {
            let response = match resource {
                ConfigResource::Broker(node_id) => self.cluster.call(*node_id, &request).await?,
                ConfigResource::Topic(_) => self.cluster.call_any(&request).await?,
            };
            let result = response.results.into_iter().next().ok_or_else(|| incomplete(what.as_str()))?;
            check(what.as_str(), result.error_code, result.error_message)?;
            let entries = result.configs.into_iter().map(|config| ConfigEntry {
                name: config.name,
                value: config.value,
                is_read_only: config.read_only,
                is_default: config.config_source == SOURCE_DEFAULT,
                documentation: config.documentation,
            });
            Ok(entries.collect())
        })
        .await
    }

    /// Changes configs of a topic or broker (KIP-339); those that are not named stay as they are.
    ///
    /// # Errors
    /// The broker refuses, with INVALID_CONFIG for an unknown name or a bad value.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<(), ClientError> {
        let configs = changes.iter().map(|change| match change {
            ConfigChange::Set(name, value) => IncrementalAlterableConfig {
                name: name.clone(),
                config_operation: 0,
                value: Some(value.clone()),
            },
            ConfigChange::Delete(name) => {
                IncrementalAlterableConfig { name: name.clone(), config_operation: 1, value: None }
            }
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name(),
                configs: configs.collect(),
            }],
            validate_only: false,
        };
        let what = format!("configs of {}", resource.name());
        self.retry(&what, |_| async {
            let response = match resource {
                ConfigResource::Broker(node_id) => self.cluster.call(*node_id, &request).await?,
                ConfigResource::Topic(_) => self.call_controller(&request).await?,
            };
            let result = response.responses.into_iter().next().ok_or_else(|| incomplete(what.as_str()))?;
            check(what.as_str(), result.error_code, result.error_message)
        })
        .await
    }
}
