//! Changes of a log's list of segments that are no appends: a new log start, a file that is gone, and segments that others
//! replace.

use std::sync::Arc;

use crate::storage::error::StorageError;
use crate::storage::log::Log;
use crate::storage::recovery::Gap;
use crate::storage::segment::Segment;
use crate::storage::store::Store;

impl Log {
    /// Moves the log's start forward; offsets below cannot be read any more. Returns the segments that lie wholly below, to
    /// be given to [`delete_segments`] once the new start is durable. The last segment always stays.
    pub fn advance_start(&mut self, offset: i64) -> Vec<Arc<Segment>> {
        let offset = offset.clamp(self.start_offset(), self.end.offset);
        let mut gone = Vec::new();
        self.publish(|view| {
            view.start_offset = offset;
            let next_bases = view.segments.iter().skip(1).map(|segment| segment.base_offset());
            let count = next_bases.take_while(|base| *base <= offset).count();
            gone = view.segments.drain(..count).collect();
        });
        self.sealed.retain(|sealed| !gone.iter().any(|segment| Arc::ptr_eq(segment, sealed)));
        gone
    }

    /// Takes a segment out whose file is gone: what it held is missing from now on, as after a start without it. None if it
    /// was not one, or is the last one.
    pub fn forget_missing(&mut self, segment: &Arc<Segment>) -> Option<Gap> {
        let view = self.view.load();
        let at = view.segments.iter().position(|other| Arc::ptr_eq(other, segment))?;
        let next = view.segments.get(at + 1)?;
        let gap = Gap { start: segment.base_offset(), end: next.base_offset() };
        self.publish(|view| drop(view.segments.remove(at)));
        self.sealed.retain(|sealed| !Arc::ptr_eq(sealed, segment));
        self.is_incomplete = true;
        Some(gap)
    }

    /// Puts a compacted segment in the place of those that it was made of. Their files are the caller's affair.
    ///
    /// # Panics
    /// If they do not lie side by side in the log, before the last segment.
    pub fn replace(&mut self, old: &[Arc<Segment>], new: Arc<Segment>) {
        let at = position_of(&self.view.load().segments, old).expect("what is replaced is part of the log");
        self.publish(|view| drop(view.segments.splice(at..at + old.len(), [new])));
        self.sealed.retain(|sealed| !old.iter().any(|segment| Arc::ptr_eq(segment, sealed)));
    }

    /// Files of segments that are no longer part of the log could not be removed: the next start has to.
    pub fn set_incomplete(&mut self) {
        self.is_incomplete = true;
    }
}

/// Where `part`, which is not empty, lies in `segments`, if it lies there as a whole and others follow.
pub(crate) fn position_of(segments: &[Arc<Segment>], part: &[Arc<Segment>]) -> Option<usize> {
    let first = part.first()?;
    let at = segments.iter().position(|segment| Arc::ptr_eq(segment, first))?;
    let there = segments.get(at..at + part.len())?;
    let is_same = there.iter().zip(part).all(|(one, other)| Arc::ptr_eq(one, other));
    (is_same && at + part.len() < segments.len()).then_some(at)
}

/// Removes the files of segments that no view has any more: renames them first, so that a crash leaves nothing that looks like
/// a segment. Who still reads them goes on. Not durable on return.
///
/// # Errors
/// The first failure; the rest is left for the next start, which finds the segments below the log's start.
pub fn delete_segments(store: &Store, segments: &[Arc<Segment>]) -> Result<(), StorageError> {
    for segment in segments {
        segment.delete_files(store.fs())?;
    }
    Ok(())
}
