//! `__consumer_offsets`: made when the first group is, and which partition a group's records are in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::error::CoordinatorError;
use crate::catalog::{Catalog, NewTopic, Topic, TopicError};
use crate::config::groups::OffsetsSettings;
use crate::config::scope::Overrides;
use crate::partition::Partition;

/// Kafka's name of it.
pub const NAME: &str = "__consumer_offsets";

/// The topic, once it is there.
#[derive(Debug, Default)]
pub(super) struct OffsetsTopic {
    current: ArcSwapOption<Opened>,
    /// Held while the topic is made.
    making: Mutex<()>,
}

/// The topic with what is known of its partitions.
#[derive(Debug)]
pub(super) struct Opened {
    partitions: Box<[Loadable]>,
}

#[derive(Debug)]
struct Loadable {
    partition: Arc<Partition>,
    is_loaded: AtomicBool,
}

impl OffsetsTopic {
    /// The topic as it was left; its groups are to be loaded.
    pub(super) fn open(catalog: &Catalog) -> Self {
        let this = Self::default();
        if let Some(topic) = catalog.topic(NAME) {
            this.current.store(Some(Arc::new(Opened::new(&topic, false))));
        }
        this
    }

    /// The topic, if it is there.
    pub(super) fn get(&self) -> Option<Arc<Opened>> {
        self.current.load_full()
    }

    /// The topic, which is made if need be.
    ///
    /// # Errors
    /// [`CoordinatorError::Topic`].
    pub(super) async fn get_or_make(
        &self,
        catalog: &Arc<Catalog>,
        config: &OffsetsSettings,
    ) -> Result<Arc<Opened>, CoordinatorError> {
        if let Some(opened) = self.get() {
            return Ok(opened);
        }
        let _making = self.making.lock().await;
        if let Some(opened) = self.get() {
            return Ok(opened);
        }
        let new = new_topic(config);
        let work = Arc::clone(catalog);
        let made = tokio::task::spawn_blocking(move || work.create_internal(new)).await;
        match made {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(topic = NAME, %error, "the topic of the groups cannot be made");
                return Err(CoordinatorError::Topic(Arc::new(error)));
            }
            // The runtime ends.
            Err(_) => return Err(CoordinatorError::Stopping),
        }
        let missing = || CoordinatorError::Topic(Arc::new(TopicError::Unknown));
        let topic = catalog.topic(NAME).ok_or_else(missing)?;
        let opened = Arc::new(Opened::new(&topic, true));
        self.current.store(Some(Arc::clone(&opened)));
        Ok(opened)
    }
}

impl Opened {
    fn new(topic: &Topic, is_loaded: bool) -> Self {
        let partitions = topic.partitions().iter();
        let loadable = |partition: &Arc<Partition>| Loadable {
            partition: Arc::clone(partition),
            is_loaded: AtomicBool::new(is_loaded),
        };
        Self { partitions: partitions.map(loadable).collect() }
    }

    /// The partition of a group.
    ///
    /// # Errors
    /// [`CoordinatorError::Loading`] while it is being read.
    pub(super) fn partition_of(&self, group_id: &str) -> Result<&Arc<Partition>, CoordinatorError> {
        let at = partition_for(group_id, self.partitions.len());
        let found = self.partitions.get(at).ok_or(CoordinatorError::Loading)?;
        if !found.is_loaded.load(Ordering::Acquire) {
            return Err(CoordinatorError::Loading);
        }
        Ok(&found.partition)
    }

    /// Whether every partition was read.
    pub(super) fn is_loaded(&self) -> bool {
        self.partitions.iter().all(|partition| partition.is_loaded.load(Ordering::Acquire))
    }

    /// All partitions, in order.
    pub(super) fn partitions(&self) -> impl ExactSizeIterator<Item = &Arc<Partition>> {
        self.partitions.iter().map(|loadable| &loadable.partition)
    }

    /// Says that the groups of a partition are there.
    pub(super) fn set_loaded(&self, index: usize) {
        if let Some(partition) = self.partitions.get(index) {
            partition.is_loaded.store(true, Ordering::Release);
        }
    }
}

fn new_topic(config: &OffsetsSettings) -> NewTopic {
    let mut overrides = Overrides::new();
    overrides.insert("cleanup.policy".to_owned(), "compact".to_owned());
    overrides.insert("compression.type".to_owned(), "producer".to_owned());
    overrides.insert("segment.bytes".to_owned(), config.topic_segment_bytes.to_string());
    NewTopic { name: NAME.to_owned(), partitions: config.topic_partitions, overrides }
}

/// As Kafka: Java's hash of the string, without its sign, by the number of partitions.
pub(in crate::coordinator) fn partition_for(group_id: &str, partitions: usize) -> usize {
    let hash =
        group_id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // `Utils.abs`: the smallest number has no positive counterpart and becomes 0.
    let hash = hash.checked_abs().unwrap_or(0);
    usize::try_from(hash).unwrap_or(0).checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_where_kafka_has_them() {
        // Java: Math.abs("...".hashCode()) % 50.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 97 % 50);
        assert_eq!(partition_for("test", 50), 3_556_498 % 50);
        assert_eq!(partition_for("polygenelubricants", 50), 0, "its hash is the smallest number");
        assert_eq!(partition_for("\u{1F600}", 50), usize::try_from(0xD83D_i32 * 31 + 0xDE00).unwrap() % 50);
    }
}
