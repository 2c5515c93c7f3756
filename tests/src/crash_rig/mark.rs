//! What clients asked for, were promised and have read, in the midst of what the disk did.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

/// How a topic is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// So many partitions.
    pub partitions: i32,
    /// Whether what is acknowledged is on the disk.
    pub is_strict: bool,
    /// Retention may leave no more than this of a partition.
    pub retention_bytes: Option<u64>,
    /// Only the last record of each key has to be there.
    pub is_compacted: bool,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its index.
    pub partition: i32,
}

/// Something that a client knows.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A topic was asked for.
    TopicAsked(Arc<str>, Keeping),
    /// It was answered that there is such a topic.
    TopicThere(Arc<str>, Uuid),
    /// It was asked that a topic be deleted.
    TopicUnwanted(Arc<str>),
    /// It was answered that it is.
    TopicGone(Arc<str>),
    /// A batch was sent, perhaps again.
    Sent(Place, Bytes),
    /// A batch was acknowledged at an offset.
    Acknowledged(Place, Bytes, i64),
    /// A batch was read, as it is stored.
    Read(Place, Bytes),
    /// It was asked that records below an offset be deleted.
    RecordsUnwanted(Place, i64),
    /// It was answered that they are.
    RecordsGone(Place, i64),
    /// A group's offset was sent. Later ones are larger.
    OffsetSent(Arc<str>, Place, i64),
    /// It was answered that it is committed, or it was read.
    OffsetCommitted(Arc<str>, Place, i64),
}
