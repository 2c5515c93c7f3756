//! Administration: topics, configs, offsets, records.
//!
//! Every call goes to the controller if the broker names one, is retried while the broker says that this may help, and
//! ends within `api_timeout`.

mod configs;
mod records;
mod topics;

use std::collections::BTreeMap;

use sendlog_protocol::Request;
use sendlog_protocol::messages::DescribeClusterRequest;

pub use configs::{ConfigChange, ConfigEntry, ConfigResource};
pub use records::OffsetQuery;
pub use topics::{NewTopic, TopicInfo};

use crate::cluster::Cluster;
use crate::config::ClientConfig;
use crate::error::{BrokerError, ClientError};
use crate::metadata::Broker;

/// Creates, describes, changes and deletes.
#[derive(Debug)]
pub struct Admin {
    cluster: Cluster,
}

/// What a cluster consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Id, if it has one.
    pub cluster_id: Option<String>,
    /// Node id of the controller, or -1.
    pub controller_id: i32,
    /// Brokers by node id.
    pub brokers: BTreeMap<i32, Broker>,
}

impl Admin {
    /// Connects to a broker of the list.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`].
    pub async fn connect(client: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self { cluster: Cluster::connect(client, false).await? })
    }

    /// Brokers and topics as they are known.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Brokers and controller.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub async fn cluster_info(&self) -> Result<ClusterInfo, ClientError> {
        self.retry("cluster", |_| async {
            let response = self.cluster.call_any(&DescribeClusterRequest::default()).await?;
            check("cluster", response.error_code, response.error_message)?;
            let brokers = response.brokers.into_iter().map(|broker| Broker {
                node_id: broker.broker_id,
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
            });
            Ok(ClusterInfo {
                cluster_id: Some(response.cluster_id),
                controller_id: response.controller_id,
                brokers: brokers.map(|broker| (broker.node_id, broker)).collect(),
            })
        })
        .await
    }

    /// Calls the controller, or any broker if there is none or it is not reachable as such.
    async fn call_controller<Q: Request>(&self, request: &Q) -> Result<Q::Response, ClientError> {
        let metadata = self.cluster.metadata();
        if metadata.brokers.contains_key(&metadata.controller_id) {
            return self.cluster.call(metadata.controller_id, request).await;
        }
        self.cluster.call_any(request).await
    }

    /// Retries within `api_timeout`; asks for brokers and controller again before every further attempt.
    async fn retry<T, F>(&self, what: &str, mut attempt: impl FnMut(u32) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        self.cluster
            .retry(what, self.cluster.config().api_timeout, |number| {
                let attempt = attempt(number);
                async move {
                    if 0 < number {
                        self.cluster.refresh().await?;
                    }
                    attempt.await
                }
            })
            .await
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// A refusal, with what it is about.
fn check(what: impl Into<String>, code: i16, message: Option<String>) -> Result<(), ClientError> {
    BrokerError::check(code, message).map_err(|error| ClientError::broker(what, error))
}

fn incomplete(what: impl Into<String>) -> ClientError {
    ClientError::Incomplete { what: what.into() }
}
