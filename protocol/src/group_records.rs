//! Placeholder.
use bytes::Bytes;
/// Placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRecord {
    /// Placeholder.
    OffsetCommit,
}
impl GroupRecord {
    /// Placeholder.
    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        (Bytes::new(), None)
    }
}
