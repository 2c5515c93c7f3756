//! Keeps the picture of the topics that events see, and makes another one when the catalog has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::topics_image::{TopicImage, TopicsImage};
use crate::catalog::{Catalog, Topics};

/// The newest picture.
#[derive(Debug, Default)]
pub(super) struct Images {
    current: ArcSwapOption<Pictured>,
    versions: AtomicU64,
}

#[derive(Debug)]
struct Pictured {
    topics: Arc<Topics>,
    image: Arc<TopicsImage>,
}

impl Images {
    /// The topics as they are now.
    pub(super) fn current(&self, catalog: &Catalog) -> Arc<TopicsImage> {
        let topics = catalog.topics();
        if let Some(pictured) = &*self.current.load()
            && Arc::ptr_eq(&pictured.topics, &topics)
        {
            return Arc::clone(&pictured.image);
        }
        // Two that do this at once make the same picture twice, under two versions.
        let version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let image = Arc::new(TopicsImage::new(
            version,
            topics.iter().map(|topic| TopicImage {
                name: Arc::clone(topic.name()),
                id: topic.id(),
                partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
            }),
        ));
        self.current.store(Some(Arc::new(Pictured { topics, image: Arc::clone(&image) })));
        image
    }
}
