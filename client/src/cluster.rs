//! The brokers as one thing: who leads what, and a connection to each for each purpose.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sendlog_protocol::Request;
use sendlog_protocol::messages::{MetadataRequest, MetadataRequestTopic};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::config::ClientConfig;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::metadata::{Leader, Metadata, TopicMetadata};

/// What a connection is for. Answers come in order, so a fetch that waits for records would hold up everything behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Metadata, offsets, administration.
    Control,
    /// Produce or fetch.
    Data,
}

/// Brokers, what is known of them, and connections to them. Shared by reference; everything here may be called from many tasks.
#[derive(Debug)]
pub struct Cluster {
    config: ClientConfig,
    /// Whether asking for a topic may create it.
    creates_topics: bool,
    state: Mutex<State>,
    /// Held during a metadata request, so that many who miss the same thing ask once.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    metadata: Arc<Metadata>,
    refreshed: Option<Instant>,
    /// Topics that a refresh asks for.
    wanted: BTreeSet<String>,
    slots: HashMap<(i32, Lane), Arc<Slot>>,
}

/// The place of one connection; whoever needs it first makes it, the others wait.
#[derive(Debug)]
struct Slot(tokio::sync::Mutex<SlotState>);

#[derive(Debug)]
struct SlotState {
    connection: Option<Connection>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Cluster {
    /// Connects to the first bootstrap broker that answers. `creates_topics` says whether asking for a topic that does not
    /// exist may create it (if the broker allows that, too).
    ///
    /// # Errors
    /// [`ClientError::NoBroker`].
    pub async fn connect(config: ClientConfig, creates_topics: bool) -> Result<Self, ClientError> {
        let cluster = Self {
            config,
            creates_topics,
            state: Mutex::new(State {
                metadata: Arc::default(),
                refreshed: None,
                wanted: BTreeSet::new(),
                slots: HashMap::new(),
            }),
            refreshing: tokio::sync::Mutex::new(()),
        };
        cluster.refresh().await?;
        Ok(cluster)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// What is known at present; asks nobody.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.state().metadata)
    }

    /// Whether what is known has reached `metadata_max_age`.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.state().refreshed.is_none_or(|at| self.config.metadata_max_age <= at.elapsed())
    }

    /// Asks again for brokers and for all topics that were asked for before.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`] if neither a known broker nor a bootstrap one answers.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        let asked = Instant::now();
        let _one_at_a_time = self.refreshing.lock().await;
        if self.state().refreshed.is_some_and(|at| asked < at) {
            // Somebody else did while this one waited.
            return Ok(());
        }
        let topics = self.state().wanted.iter().cloned().collect();
        let request = self.metadata_request(Some(topics));
        let response = self.call_any(&request).await?;
        let mut state = self.state();
        let mut metadata = Metadata::clone(&state.metadata);
        metadata.apply(response);
        state.slots.retain(|(node_id, _), _| metadata.brokers.contains_key(node_id));
        state.metadata = Arc::new(metadata);
        state.refreshed = Some(Instant::now());
        Ok(())
    }

    /// `None` asks for all topics.
    pub(crate) fn metadata_request(&self, topics: Option<Vec<String>>) -> MetadataRequest {
        let topic = |name| MetadataRequestTopic { name: Some(name), ..MetadataRequestTopic::default() };
        MetadataRequest {
            topics: topics.map(|topics| topics.into_iter().map(topic).collect()),
            allow_auto_topic_creation: self.creates_topics,
            ..MetadataRequest::default()
        }
    }

    /// A topic, asked for if it is not known; retried while brokers say that this may help (a topic that is just being
    /// created), up to `timeout`.
    ///
    /// # Errors
    /// The last refusal, or [`ClientError::TimedOut`] around it.
    pub async fn topic(&self, name: &str, timeout: Duration) -> Result<Arc<TopicMetadata>, ClientError> {
        if let Some(topic) = self.metadata().topic(name) {
            return Ok(Arc::clone(topic));
        }
        self.want(name);
        self.retry(&format!("topic {name}"), timeout, |_| async {
            self.refresh().await?;
            match self.metadata().topics.get(name) {
                Some(Ok(topic)) => Ok(Arc::clone(topic)),
                Some(Err(error)) => Err(ClientError::broker(format!("topic {name}"), error.clone())),
                None => Err(ClientError::Incomplete { what: format!("topic {name}") }),
            }
        })
        .await
    }

    /// The leader of a partition, asked for if it is not known, up to `timeout`.
    ///
    /// # Errors
    /// As [`topic`](Self::topic); [`ClientError::UnknownPartition`]; [`ClientError::NoLeader`] inside of
    /// [`ClientError::TimedOut`].
    pub async fn leader(
        &self,
        topic: &str,
        partition: i32,
        timeout: Duration,
    ) -> Result<Leader, ClientError> {
        let known = self.topic(topic, timeout).await?;
        if usize::try_from(partition).is_ok_and(|partition| partition < known.partitions.len())
            && let Some(leader) = self.metadata().leader(topic, partition)
        {
            return Ok(leader);
        }
        self.retry(&format!("leader of {topic}-{partition}"), timeout, |_| async {
            self.refresh().await?;
            let metadata = self.metadata();
            let partitions = metadata.topic(topic).map_or(0, |topic| topic.partitions.len());
            if usize::try_from(partition).is_ok_and(|partition| partition < partitions) {
                return metadata
                    .leader(topic, partition)
                    .ok_or_else(|| ClientError::NoLeader { topic: topic.to_owned(), partition });
            }
            Err(ClientError::UnknownPartition { topic: topic.to_owned(), partition, partitions })
        })
        .await
    }

    /// Has the next refresh ask for a topic.
    pub(crate) fn want(&self, topic: &str) {
        let mut state = self.state();
        if !state.wanted.contains(topic) {
            state.wanted.insert(topic.to_owned());
        }
    }

    /// The connection to a broker for a purpose, made if need be. After a failure it waits before the next attempt.
    ///
    /// # Errors
    /// The broker is not known or cannot be reached.
    pub async fn connection(&self, node_id: i32, lane: Lane) -> Result<Connection, ClientError> {
        let slot = Arc::clone(self.state().slots.entry((node_id, lane)).or_insert_with(|| {
            let backoff = Backoff::new(self.config.retry_backoff, self.config.retry_backoff_max);
            Arc::new(Slot(tokio::sync::Mutex::new(SlotState { connection: None, backoff, not_before: None })))
        }));
        let mut slot = slot.0.lock().await;
        if let Some(connection) = slot.connection.as_ref().filter(|connection| connection.failure().is_none())
        {
            return Ok(connection.clone());
        }
        slot.connection = None;
        if let Some(not_before) = slot.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let broker = self.metadata().brokers.get(&node_id).cloned();
        let broker = broker.ok_or_else(|| ClientError::NoBroker { failures: Vec::new() })?;
        match Connection::connect(&broker.address(), &self.config).await {
            Ok(connection) => {
                slot.backoff.reset();
                slot.not_before = None;
                slot.connection = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                slot.not_before = Some(Instant::now() + slot.backoff.next());
                Err(error.into())
            }
        }
    }

    /// Calls whichever broker answers: known ones first, then the bootstrap list.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`] with every attempt's failure.
    pub async fn call_any<Q: Request>(&self, request: &Q) -> Result<Q::Response, ClientError> {
        let mut failures = Vec::new();
        let nodes: Vec<i32> = self.metadata().brokers.keys().copied().collect();
        for node_id in nodes {
            match self.call(node_id, request).await {
                Ok(response) => return Ok(response),
                Err(ClientError::Connection(error)) if !error.is_harmless() => failures.push(error),
                // A broker that went away meanwhile.
                Err(ClientError::NoBroker { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for address in &self.config.bootstrap {
            let called = async { Connection::connect(address, &self.config).await?.call(request).await };
            match called.await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_harmless() => return Err(error.into()),
                Err(error) => failures.push(error),
            }
        }
        Err(ClientError::NoBroker { failures })
    }

    /// Calls a certain broker.
    ///
    /// # Errors
    /// The broker cannot be reached, or the connection failed.
    pub async fn call<Q: Request>(&self, node_id: i32, request: &Q) -> Result<Q::Response, ClientError> {
        Ok(self.connection(node_id, Lane::Control).await?.call(request).await?)
    }

    /// Repeats an attempt, with pauses, while its error says that this may help and there is time. Attempts are numbered
    /// from 0.
    ///
    /// # Errors
    /// The last error, inside of [`ClientError::TimedOut`] if there was no time for another attempt.
    pub(crate) async fn retry<T, F>(
        &self,
        what: &str,
        timeout: Duration,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let deadline = Instant::now() + timeout;
        let mut backoff = Backoff::new(self.config.retry_backoff, self.config.retry_backoff_max);
        let timed_out = |last: Option<ClientError>| ClientError::TimedOut {
            what: what.to_owned(),
            timeout_ms: timeout.as_millis(),
            last: last.map(Box::new),
        };
        let mut last = None;
        let mut number = 0;
        loop {
            let error = match tokio::time::timeout_at(deadline, attempt(number)).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) if !error.is_retriable() => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => return Err(timed_out(last)),
            };
            let pause = backoff.next();
            if deadline < Instant::now() + pause {
                return Err(timed_out(Some(error)));
            }
            tracing::debug!(%error, ?pause, "{what}: trying again");
            last = Some(error);
            number += 1;
            tokio::time::sleep(pause).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
