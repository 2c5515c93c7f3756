//! The topics as groups see them: names, ids, numbers of partitions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// All topics at one moment. Made anew when the catalog changes; `version` tells two of them apart.
#[derive(Debug, Clone, Default)]
pub struct TopicsImage {
    version: u64,
    by_name: BTreeMap<Arc<str>, Arc<TopicImage>>,
    by_id: HashMap<Uuid, Arc<TopicImage>>,
}

impl TopicsImage {
    /// An image of these topics; a later one has a higher version.
    pub fn new(version: u64, topics: impl IntoIterator<Item = TopicImage>) -> Self {
        let mut image = Self { version, ..Self::default() };
        for topic in topics.into_iter().map(Arc::new) {
            image.by_id.insert(topic.id, Arc::clone(&topic));
            image.by_name.insert(Arc::clone(&topic.name), topic);
        }
        image
    }

    /// Rises with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The topic with this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_name.get(name)
    }

    /// The topic with this id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    /// Every topic, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.by_name.values()
    }
}
