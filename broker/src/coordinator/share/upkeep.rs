//! Keeps `__share_group_state` small: states of deleted topics go, and what later snapshots have made needless.

use super::ShareCoordinator;
use super::error::ShareError;
use super::state_topic::Shard;
use super::written::stored;

/// Records that a partition of the topic may have before it is pruned.
const RECORDS_BEFORE_PRUNING: i64 = 10_000;

/// Records for each share partition that it may have before it is pruned, so that pruning costs little beside them.
const RECORDS_PER_SLOT: i64 = 4;

impl ShareCoordinator {
    /// Prunes every partition that is worth it; returns whether a log start moved. Only those that were read since the start
    /// have grown.
    ///
    /// # Errors
    /// [`ShareError`]; what was pruned by then is.
    pub async fn prune(&self) -> Result<bool, ShareError> {
        let mut is_changed = false;
        for shard in self.topic.shards() {
            self.forget_deleted_topics(shard).await?;
            is_changed |= self.prune_shard(shard, RECORDS_BEFORE_PRUNING).await?;
        }
        Ok(is_changed)
    }

    async fn forget_deleted_topics(&self, shard: &Shard) -> Result<(), ShareError> {
        for slot in shard.slots() {
            if self.parts.catalog.topic_by_id(slot.key().at.topic_id).is_none() {
                let written = slot.delete();
                shard.remove(&slot);
                stored(written).await?;
            }
        }
        Ok(())
    }

    /// Writes a snapshot of every share partition, and hides all records before the first of these.
    async fn prune_shard(&self, shard: &Shard, records_max: i64) -> Result<bool, ShareError> {
        // In this order: a share partition that is made from now on is behind these offsets in the log.
        let offsets = shard.home.offsets();
        let slots = shard.slots();
        let limit = i64::try_from(slots.len()).unwrap_or(i64::MAX).saturating_mul(RECORDS_PER_SLOT);
        if offsets.high_watermark - offsets.log_start < limit.max(records_max) {
            return Ok(false);
        }
        let writing: Vec<_> = slots.iter().map(|slot| slot.write_snapshot()).collect();
        for written in writing {
            stored(written).await?;
        }
        // A log start that did not move is pruned the next time.
        Ok(shard.home.delete_records(offsets.high_watermark).is_ok())
    }
}
