//! The share partitions of this broker, and the ways to them.
//!
//! Lock order: a group's lock, then the sessions' or a shard's, then a slot's. None is held over an await.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::acknowledge::{AcknowledgeError, Acknowledgement};
use super::acquire::{AcquiredRange, Fetched, Want};
use super::error::ShareError;
use super::key::ShareKey;
use super::sessions::{SessionKey, Sessions, TopicPartition};
use super::share_partition::Limits;
use super::slot::{Slot, StateLog};
use super::state_topic::StateTopic;
use super::written::{Written, stored};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::group_config::ShareAutoOffsetReset;
use crate::coordinator::group::{CoordinatorError, GroupCoordinator, Kind};
use crate::partition::{Appender, Partition, ReadError};
use crate::stop::Stop;

/// How often it is looked whether locks have run out that nobody waits for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// What the share coordinator works with.
#[derive(Debug, Clone)]
pub struct ShareParts {
    /// The broker's settings.
    pub config: Arc<Config>,
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// The groups: whether they read a partition at all.
    pub groups: Arc<GroupCoordinator>,
    /// The way to the commit threads.
    pub appender: Appender,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The broker's end.
    pub stop: Stop,
}

/// All share partitions and share sessions.
#[derive(Debug)]
pub struct ShareCoordinator {
    pub(super) parts: ShareParts,
    /// The steady clock's zero.
    started: Instant,
    sessions: Mutex<Sessions>,
    pub(super) topic: StateTopic,
    pub(super) log: Arc<StateLog>,
}

/// What became of a request that changes a share partition; not answered before it is [stored](Acknowledged::stored).
#[derive(Debug)]
pub struct Acknowledged(Written);

impl Acknowledged {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// [`ShareError::Append`].
    pub async fn stored(self) -> Result<(), ShareError> {
        stored(self.0).await
    }
}

impl ShareCoordinator {
    /// With what the catalog has; states are read when they are first wanted.
    #[must_use]
    pub fn new(parts: ShareParts) -> Self {
        let log = StateLog {
            appender: parts.appender.clone(),
            clock: Arc::clone(&parts.clock),
            updates_per_snapshot: parts.config.groups.share.updates_per_snapshot,
        };
        Self {
            parts,
            started: Instant::now(),
            sessions: Mutex::default(),
            topic: StateTopic::default(),
            log: Arc::new(log),
        }
    }

    /// The sessions.
    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the group's settings allow.
    #[must_use]
    pub fn limits(&self, group_id: &str) -> Limits {
        Limits::of(&self.parts.catalog.live().group(group_id))
    }

    /// The steady clock.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The moment of the steady clock when it shows `ms`.
    #[must_use]
    pub fn instant(&self, ms: i64) -> Instant {
        self.started + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// The share partition of a partition that the group reads, ready to be fetched from.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn slot(&self, key: &ShareKey, partition: &Arc<Partition>) -> Result<Arc<Slot>, ShareError> {
        let shard = self.topic.shard(key, &self.parts.catalog, &self.parts.config.groups.share).await?;
        shard.load(&self.log).await?;
        let slot = match shard.get(key) {
            Some(slot) => slot,
            None => {
                self.check_initialized(key)?;
                shard.get_or_make(key, &self.log)
            }
        };
        slot.begun.get_or_try_init(|| self.begin(&slot, partition)).await?;
        Ok(slot)
    }

    /// The share partition, if it was fetched from.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn find(&self, key: &ShareKey) -> Result<Option<Arc<Slot>>, ShareError> {
        if self.parts.catalog.topic(super::state_topic::NAME).is_none() {
            return Ok(None);
        }
        let shard = self.topic.shard(key, &self.parts.catalog, &self.parts.config.groups.share).await?;
        shard.load(&self.log).await?;
        Ok(shard.get(key))
    }

    /// Hands out records.
    ///
    /// # Errors
    /// [`ShareError::Gone`].
    pub fn acquire(
        &self,
        slot: &Slot,
        fetched: Fetched<'_>,
        want: &Want,
        limits: &Limits,
    ) -> Result<Vec<AcquiredRange>, ShareError> {
        slot.look(|share| share.acquire(fetched, want, limits, self.now_ms())).ok_or(ShareError::Gone)
    }

    /// Takes over what a member says.
    ///
    /// # Errors
    /// [`ShareError::Gone`], or [`AcknowledgeError`] within.
    pub fn acknowledge(
        &self,
        slot: &Slot,
        member: &Arc<str>,
        said: &[Acknowledgement],
    ) -> Result<Result<Acknowledged, AcknowledgeError>, ShareError> {
        let limits = self.limits(&slot.key().group_id);
        let now_ms = self.now_ms();
        // A member that is too late has lost its records, though nobody has looked yet.
        self.expire(slot, &limits);
        let (answer, written) =
            slot.happen(|share| match share.acknowledge(member, said, &limits, now_ms) {
                Ok(changed) => (Ok(()), changed),
                Err(error) => (Err(error), Vec::new()),
            })?;
        Ok(answer.map(|()| Acknowledged(written.or_else(|| slot.catch_up()))))
    }

    /// Takes records back whose lock has run out.
    pub fn expire(&self, slot: &Slot, limits: &Limits) {
        let now_ms = self.now_ms();
        let is_due = |share: &mut super::SharePartition| {
            share.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms)
        };
        if slot.look(is_due) == Some(true) {
            slot.happen_unwatched(|share| share.expire(now_ms, limits));
        }
    }

    /// The log starts later than it did.
    pub fn advance_log_start(&self, slot: &Slot, log_start: i64) {
        slot.happen_unwatched(|share| {
            share.advance_log_start(log_start);
            Vec::new()
        });
    }

    /// The log ends earlier than the group has read: it goes on there.
    pub fn cut(&self, slot: &Slot, log_end: i64) {
        slot.restate(|share| share.cut(log_end));
    }

    /// Ends a member's session: what it has goes back.
    pub fn close_session(&self, key: &SessionKey) -> bool {
        if !self.sessions().has(key) {
            return false;
        }
        let partitions = self.sessions().close(key);
        self.release(key, &partitions);
        true
    }

    /// A connection is gone, and the sessions that it had.
    pub fn disconnected(&self, connection: u64) {
        let closed = self.sessions().disconnected(connection);
        for (key, partitions) in closed {
            self.release(&key, &partitions);
        }
    }

    /// Ends the sessions of members that were silent for too long.
    pub fn release_silent(&self) {
        for (group_id, member_id) in self.parts.groups.take_silent_share_members() {
            self.close_session(&SessionKey { group_id, member_id });
        }
    }

    fn release(&self, key: &SessionKey, partitions: &BTreeSet<TopicPartition>) {
        let limits = self.limits(&key.group_id);
        for at in partitions {
            let key_of_partition = ShareKey { group_id: Arc::clone(&key.group_id), at: *at };
            // A session is of partitions that were looked at.
            let Some(slot) = self.known(&key_of_partition) else { continue };
            slot.happen_unwatched(|share| share.release(&key.member_id, &limits));
        }
    }

    /// The share partition, if it is in memory.
    fn known(&self, key: &ShareKey) -> Option<Arc<Slot>> {
        self.topic.known_shard(key)?.get(key)
    }

    /// Sets where a group goes on; what was in flight is forgotten. Returns when that is durable.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn begin_at(&self, key: &ShareKey, start: i64, state_epoch: i32) -> Result<(), ShareError> {
        let shard = self.topic.shard(key, &self.parts.catalog, &self.parts.config.groups.share).await?;
        shard.load(&self.log).await?;
        let slot = shard.get_or_make(key, &self.log);
        let written = slot.begin(start, state_epoch)?;
        stored(written).await
    }

    /// Deletes the states of partitions of a topic. Returns when that is durable.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn delete(
        &self,
        group_id: &Arc<str>,
        topic_id: Uuid,
        partitions: &BTreeSet<i32>,
    ) -> Result<(), ShareError> {
        let mut deleted = Vec::new();
        for partition in partitions {
            let key = ShareKey::new(group_id, topic_id, *partition);
            if let Some(slot) = self.find(&key).await? {
                let written = slot.delete();
                if let Some(shard) = self.topic.known_shard(&key) {
                    shard.remove(&slot);
                }
                deleted.push(written);
            }
        }
        for written in deleted {
            stored(written).await?;
        }
        Ok(())
    }

    /// Takes records back in time although nobody asks for them, until the broker stops: a delivery that ended must be on
    /// disk.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.parts.stop.stopped() => return,
                () = tokio::time::sleep(EXPIRY_INTERVAL) => {}
            }
            self.release_silent();
            for slot in self.topic.shards().iter().flat_map(|shard| shard.slots()) {
                let limits = self.limits(&slot.key().group_id);
                self.expire(&slot, &limits);
            }
        }
    }

    fn check_initialized(&self, key: &ShareKey) -> Result<(), ShareError> {
        let TopicPartition { topic_id, partition } = key.at;
        let reads = self.parts.groups.look(&key.group_id, |group| match group.kind() {
            Kind::Share(share) => share.is_initialized(topic_id, partition),
            _ => false,
        });
        if reads? { Ok(()) } else { Err(ShareError::NotInitialized) }
    }

    /// Whether the partition came when its topic was known to the group.
    fn is_added(&self, key: &ShareKey) -> Result<bool, ShareError> {
        let TopicPartition { topic_id, partition } = key.at;
        let looked = self.parts.groups.look(&key.group_id, |group| match group.kind() {
            Kind::Share(share) => share.is_added(topic_id, partition),
            _ => false,
        });
        match looked {
            // One that is gone meanwhile reads nothing.
            Err(CoordinatorError::UnknownGroup) => Ok(false),
            looked => Ok(looked?),
        }
    }

    /// Decides where the group begins to read, and has it stored: who has read that far must not begin elsewhere.
    async fn begin(&self, slot: &Slot, partition: &Arc<Partition>) -> Result<(), ShareError> {
        let start = match slot.look(|share| share.start_offset()) {
            Some(start) => start,
            None => self.beginning(slot, partition).await?,
        };
        stored(slot.begin_once(start)?).await
    }

    async fn beginning(&self, slot: &Slot, partition: &Arc<Partition>) -> Result<i64, ShareError> {
        let offsets = partition.offsets();
        if self.is_added(slot.key())? {
            return Ok(offsets.log_start);
        }
        match self.parts.catalog.live().group(&slot.key().group_id).share_auto_offset_reset {
            ShareAutoOffsetReset::Earliest => Ok(offsets.log_start),
            ShareAutoOffsetReset::Latest => Ok(offsets.high_watermark),
            ShareAutoOffsetReset::ByDuration { ms } => {
                let age_ms = i64::try_from(ms).unwrap_or(i64::MAX);
                let since_ms = self.parts.clock.now_ms().saturating_sub(age_ms);
                let partition = Arc::clone(partition);
                let looking = tokio::task::spawn_blocking(move || partition.offset_for_timestamp(since_ms));
                let found = looking.await.map_err(|_| ShareError::Stopping)?;
                match found {
                    Ok(found) => Ok(found.map_or(offsets.high_watermark, |found| found.offset)),
                    Err(ReadError::OutOfRange { log_start, .. }) => Ok(log_start),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use crate::coordinator::share::{LogBatch, Verdict};
    use crate::partition::AppendError;

    /// A share partition of `t` that is kept in `t` itself.
    async fn slot(fixture: &Fixture, shares: &ShareCoordinator) -> (Slot, Arc<Partition>) {
        let topic_id = fixture.create("t", 1).await;
        let partition = fixture.context.catalog.partition("t", 0).unwrap();
        let key = ShareKey::new(&"g".into(), topic_id, 0);
        (Slot::new(key, Arc::clone(&partition), Arc::clone(&shares.log)), partition)
    }

    fn with(fixture: &Fixture, appender: Appender) -> ShareCoordinator {
        ShareCoordinator::new(ShareParts { appender, ..fixture.context.shares.parts.clone() })
    }

    fn is_full(result: &Result<(), ShareError>) -> bool {
        matches!(result, Err(ShareError::Append(AppendError::Full(_))))
    }

    #[tokio::test]
    async fn a_beginning_that_a_full_disk_refused_is_none() {
        let fixture = Fixture::new();
        let (full, threads) = fixture.full_appender();
        let shares = with(&fixture, full);
        let (slot, partition) = slot(&fixture, &shares).await;
        for _ in 0..2 {
            let begun = shares.begin(&slot, &partition).await;
            assert!(is_full(&begun), "{begun:?}");
        }
        threads.finish();
    }

    #[tokio::test]
    async fn what_is_said_again_is_answered_no_earlier_than_it_is_durable() {
        let fixture = Fixture::new();
        let (full, threads) = fixture.full_appender();
        let shares = with(&fixture, full);
        let (slot, _) = slot(&fixture, &shares).await;
        drop(slot.begin(0, 0).unwrap());
        let want = Want { member: "m".into(), records_max: 10, is_strict: false, batch_size: 10 };
        let fetched = Fetched { offset: 0, batches: &[LogBatch { base: 0, last: 9 }] };
        let ranges = shares.acquire(&slot, fetched, &want, &shares.limits("g")).unwrap();
        assert_eq!((ranges[0].first, ranges[0].last), (0, 9));

        let said = [Acknowledgement { first: 0, last: 9, verdicts: vec![Verdict::Accept] }];
        let first = shares.acknowledge(&slot, &want.member, &said).unwrap().unwrap();
        // While the first one is on its way, and when it was refused.
        let second = shares.acknowledge(&slot, &want.member, &said).unwrap().unwrap();
        assert!(is_full(&first.stored().await));
        assert!(is_full(&second.stored().await));
        let third = shares.acknowledge(&slot, &want.member, &said).unwrap().unwrap();
        assert!(is_full(&third.stored().await));
        threads.finish();
    }

    #[tokio::test]
    async fn what_is_said_again_and_durable_is_not_written_again() {
        let fixture = Fixture::new();
        let shares = with(&fixture, fixture.context.appender.clone());
        let (slot, partition) = slot(&fixture, &shares).await;
        shares.begin(&slot, &partition).await.unwrap();
        let written = partition.offsets().high_watermark;
        for _ in 0..2 {
            let again = shares.acknowledge(&slot, &"m".into(), &[]).unwrap().unwrap();
            again.stored().await.unwrap();
        }
        assert_eq!(partition.offsets().high_watermark, written);
    }
}
