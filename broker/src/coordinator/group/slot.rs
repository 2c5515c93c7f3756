//! A group behind its lock, with what of it is on the way to the disk and who waits for that.
//!
//! ```text
//! event (under the lock) -> records queued at the appender -> in flight, in order -> settled -> answers
//! ```
//!
//! The order of the log is the order of the events, because records are queued under the lock. An answer leaves when all
//! that its group had appended by then is durable; if that was refused, it says so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sendlog_protocol::EncodedRecord;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::group_records::GroupRecord;
use sendlog_protocol::wire::EncodeError;
use tokio::sync::oneshot;

use super::backlog::Backlog;
use super::batch;
use super::error::CoordinatorError;
use super::group::Group;
use super::offsets::OffsetChange;
use super::record;
use super::{Effects, Reply, Ticket};
use crate::partition::{AckAt, AppendError, AppendResult, Appender, Partition};

/// For parked requests whose event could not be stored: the client tries again.
const NOT_AVAILABLE: ErrorCode = ErrorCode::CoordinatorNotAvailable;
/// For those whose event is at fault itself.
const UNKNOWN: ErrorCode = ErrorCode::UnknownServerError;

/// What became of all that a group had appended.
pub(super) type Settlement = Result<(), CoordinatorError>;

/// A group that several requests may want at once.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<SlotState>,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct SlotState {
    pub(super) group: Group,
    in_flight: VecDeque<InFlight>,
    /// A task awaits what is in flight.
    is_awaited: bool,
    backlog: Backlog,
    /// What the backlog took when an append was last settled: it counts while it is on its way.
    pub(super) lacking_bytes: usize,
    tickets: HashMap<Ticket, oneshot::Sender<Reply>>,
    /// The earliest deadline that the timers know of.
    pub(super) armed_ms: Option<i64>,
    /// The slot is not to be used any more: there may be another one for the id.
    pub(super) is_removed: bool,
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct InFlight {
    answer: Option<oneshot::Receiver<AppendResult>>,
    /// What the log lacks if it is refused.
    records: Vec<EncodedRecord>,
    has_offsets: bool,
    replies: Vec<(Ticket, Reply)>,
    waiters: Vec<oneshot::Sender<Settlement>>,
}

/// Where records go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) appender: &'a Appender,
    pub(super) partition: &'a Arc<Partition>,
    /// What the records say of when they were made.
    pub(super) now_ms: i64,
}

impl Slot {
    pub(super) fn new(group: Group) -> Self {
        let state = SlotState {
            group,
            in_flight: VecDeque::new(),
            is_awaited: false,
            backlog: Backlog::default(),
            lacking_bytes: 0,
            tickets: HashMap::new(),
            armed_ms: None,
            is_removed: false,
        };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotState {
    /// Notes where the answer to a parked request goes.
    pub(super) fn park(&mut self, ticket: Ticket) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.tickets.insert(ticket, sender);
        receiver
    }

    /// The request was not parked after all.
    pub(super) fn unpark(&mut self, ticket: Ticket) {
        self.tickets.remove(&ticket);
    }

    /// Queues what an event wants stored. The receiver gets to know when all of the group is durable that was queued by
    /// then; there is none if it is already.
    ///
    /// # Errors
    /// [`CoordinatorError::TooLarge`] for commits that no batch has room for, [`CoordinatorError::Encode`]; nothing was
    /// stored then.
    pub(super) fn store(
        &mut self,
        effects: Effects,
        to: Destination<'_>,
    ) -> Result<Option<oneshot::Receiver<Settlement>>, CoordinatorError> {
        let Effects { records, replies, offsets, .. } = effects;
        let encoded = self.encode(&records, &offsets);
        let Encoded { state: new_records, offsets: offset_records } = match encoded {
            Ok(encoded) => encoded,
            Err(error) => {
                self.refuse(replies, UNKNOWN);
                return Err(error.into());
            }
        };
        // What clients choose the size of. What the log lacks and the offsets that go are no more than what is held, and
        // refusing those would be for ever.
        let is_limited = records.is_empty() && offsets.iter().any(|change| change.committed.is_some());
        let mut state_records = self.backlog.take();
        state_records.extend(new_records);
        if state_records.is_empty() && offset_records.is_empty() {
            return Ok(self.wait_for_last(replies));
        }
        let batch = batch::of(state_records.iter().chain(&offset_records), to.now_ms);
        let limit = to.partition.config().max_message_bytes;
        let bytes = batch.as_ref().map_or(usize::MAX, |batch| batch.bytes.len());
        let (Ok(batch), true) = (batch, !is_limited || bytes <= limit) else {
            self.backlog.add(state_records);
            self.refuse(replies, UNKNOWN);
            return Err(CoordinatorError::TooLarge { bytes, limit });
        };
        let answer = to.appender.append(Arc::clone(to.partition), batch, AckAt::Durable);
        let has_offsets = !offsets.is_empty();
        if has_offsets {
            self.group.offsets_mut().queue(offsets);
        }
        let (waiter, waiting) = oneshot::channel();
        self.in_flight.push_back(InFlight {
            answer: Some(answer),
            records: state_records,
            has_offsets,
            replies,
            waiters: vec![waiter],
        });
        Ok(Some(waiting))
    }

    /// Strings of requests are no longer than those of records, so an error is one of our own.
    fn encode(&self, records: &[GroupRecord], offsets: &[OffsetChange]) -> Result<Encoded, EncodeError> {
        let group_id = self.group.id();
        let state: Result<_, _> = records.iter().map(GroupRecord::encode).collect();
        let offsets: Result<_, _> =
            offsets.iter().map(|change| record::encode_offset(group_id, change)).collect();
        Ok(Encoded { state: state?, offsets: offsets? })
    }

    /// What is known now may be told when the last batch is durable.
    fn wait_for_last(&mut self, replies: Vec<(Ticket, Reply)>) -> Option<oneshot::Receiver<Settlement>> {
        let Some(last) = self.in_flight.back_mut() else {
            self.deliver(replies);
            return None;
        };
        let (waiter, waiting) = oneshot::channel();
        last.replies.extend(replies);
        last.waiters.push(waiter);
        Some(waiting)
    }

    /// Whether somebody should await what is in flight, and nobody does; the caller will.
    pub(super) fn wants_await(&mut self) -> bool {
        let wants = !self.is_awaited && !self.in_flight.is_empty();
        self.is_awaited |= wants;
        wants
    }

    /// The answer to the oldest batch in flight; none if there is no batch, and nobody awaits any then.
    pub(super) fn next_answer(&mut self) -> Option<oneshot::Receiver<AppendResult>> {
        let answer = self.in_flight.front_mut().and_then(|oldest| oldest.answer.take());
        self.is_awaited = answer.is_some();
        answer
    }

    /// The oldest batch is durable, or was refused.
    pub(super) fn settle(&mut self, result: &Result<(), AppendError>) {
        let Some(oldest) = self.in_flight.pop_front() else { return };
        if oldest.has_offsets {
            self.group.offsets_mut().settle(result.is_ok());
        }
        match result {
            Ok(()) => {
                self.backlog.supersede(&oldest.records);
                self.deliver(oldest.replies);
            }
            Err(_) => {
                self.backlog.add(oldest.records);
                self.refuse(oldest.replies, NOT_AVAILABLE);
            }
        }
        self.lacking_bytes = self.backlog.bytes();
        for waiter in oldest.waiters {
            // One who left does not want to know.
            let _ = waiter.send(result.clone().map_err(CoordinatorError::Append));
        }
    }

    fn refuse(&mut self, replies: Vec<(Ticket, Reply)>, code: ErrorCode) {
        let refused = replies.into_iter().map(|(ticket, reply)| (ticket, reply.refused(code.code())));
        self.deliver(refused.collect());
    }

    fn deliver(&mut self, replies: Vec<(Ticket, Reply)>) {
        for (ticket, reply) in replies {
            if let Some(sender) = self.tickets.remove(&ticket) {
                let _ = sender.send(reply);
            }
        }
    }

    /// Whether the slot can go: there is no such group, and nothing is under way.
    pub(super) fn is_vacant(&self) -> bool {
        self.group.is_vacant()
            && self.in_flight.is_empty()
            && self.backlog.is_empty()
            && self.tickets.is_empty()
    }
}

/// The records of an event.
struct Encoded {
    state: Vec<EncodedRecord>,
    offsets: Vec<EncodedRecord>,
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::group_records::{GroupMetadataKey, GroupMetadataMember, GroupMetadataValue};
    use sendlog_protocol::messages::JoinGroupResponse;
    use sendlog_protocol::records::read_records;
    use uuid::Uuid;

    use super::*;
    use crate::api::testing::Fixture;
    use crate::coordinator::group::offsets::{Committed, TopicPartition};
    use crate::partition::ReadRequest;
    use crate::storage::files::IoMode;

    fn record(generation: i32) -> GroupRecord {
        let value = GroupMetadataValue { generation, ..Default::default() };
        GroupRecord::GroupMetadata(GroupMetadataKey { group: "g".to_owned() }, Some(value))
    }

    fn offset(offset: i64) -> OffsetChange {
        let committed = Committed {
            offset,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 0,
            expire_timestamp_ms: -1,
            topic_id: Uuid::nil(),
        };
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        OffsetChange { partition, committed: Some(committed) }
    }

    fn effects(generation: i32, at: i64) -> Effects {
        Effects { records: vec![record(generation)], offsets: vec![offset(at)], ..Effects::default() }
    }

    /// A partition that records go to.
    struct Scene {
        fixture: Fixture,
        partition: Arc<Partition>,
    }

    impl Scene {
        async fn new() -> Self {
            let fixture = Fixture::new();
            fixture.create("t", 1).await;
            let partition = fixture.context.catalog.partition("t", 0).unwrap();
            Self { fixture, partition }
        }

        fn to<'a>(&'a self, appender: &'a Appender) -> Destination<'a> {
            Destination { appender, partition: &self.partition, now_ms: 1 }
        }
    }

    /// Awaits what is in flight, as the coordinator does.
    async fn settle_all(slot: &Slot) {
        loop {
            let Some(answer) = slot.lock().next_answer() else { return };
            let result = answer.await.unwrap().map(drop);
            slot.lock().settle(&result);
        }
    }

    /// Generations and offsets in the log, in its order.
    fn stored(partition: &Partition) -> Vec<i64> {
        let request =
            ReadRequest { offset: 0, max_bytes: 1 << 20, min_one_batch: true, current_leader_epoch: -1 };
        let read = partition.read(&request, IoMode::Blocking).unwrap().unwrap();
        let Some(slice) = read.records else { return Vec::new() };
        let mut bytes = vec![0; slice.len()];
        slice.read_at(0, &mut bytes).unwrap();
        let mut rest = bytes::Bytes::from(bytes);
        let mut found = Vec::new();
        while !rest.is_empty() {
            let records = read_records(&rest, 1 << 20).unwrap();
            let size = records.header().size();
            for record in records.map(Result::unwrap) {
                found.push(match GroupRecord::decode(record.key.unwrap(), record.value).unwrap() {
                    Some(GroupRecord::GroupMetadata(_, Some(value))) => i64::from(value.generation),
                    Some(GroupRecord::OffsetCommit(_, Some(value))) => value.offset,
                    other => panic!("{other:?}"),
                });
            }
            rest = rest.slice(size..);
        }
        found
    }

    #[tokio::test]
    async fn what_a_full_disk_refused_is_stored_with_the_next_event_but_for_offsets() {
        let (scene, slot) = (Scene::new().await, Slot::new(Group::new("g".into())));
        let (full, threads) = scene.fixture.full_appender();
        let roomy = &scene.fixture.context.appender;
        let to = |appender| scene.to(appender);
        let parked = slot.lock().park(Ticket(7));

        let mut refused = effects(1, 100);
        let join = JoinGroupResponse { member_id: "m".to_owned(), generation_id: 1, ..Default::default() };
        refused.replies.push((Ticket(7), Reply::Join(join)));
        let waiting = slot.lock().store(refused, to(&full)).unwrap().unwrap();
        // One that changes nothing waits for the one before, and shares its fate.
        let behind = slot.lock().store(Effects::default(), to(roomy)).unwrap().unwrap();
        settle_all(&slot).await;
        assert!(matches!(waiting.await.unwrap(), Err(CoordinatorError::Append(AppendError::Full(_)))));
        assert!(behind.await.unwrap().is_err());
        let Reply::Join(answer) = parked.await.unwrap() else { panic!("a join is answered as one") };
        assert_eq!((answer.error_code, answer.member_id.as_str()), (NOT_AVAILABLE.code(), "m"));
        assert_eq!(answer.generation_id, -1);
        assert!(stored(&scene.partition).is_empty());
        assert!(slot.lock().group.offsets().is_empty());

        // Even an event that changes nothing brings the log up to what it tells.
        let waiting = slot.lock().store(Effects::default(), to(roomy)).unwrap().unwrap();
        settle_all(&slot).await;
        assert!(waiting.await.unwrap().is_ok());
        assert_eq!(stored(&scene.partition), [1]);
        assert!(slot.lock().store(Effects::default(), to(roomy)).unwrap().is_none());
        threads.finish();
    }

    #[tokio::test]
    async fn what_the_log_lacks_is_stored_and_told_of_however_large_it_is() {
        let (scene, slot) = (Scene::new().await, Slot::new(Group::new("g".into())));
        let (full, threads) = scene.fixture.full_appender();
        let roomy = &scene.fixture.context.appender;
        let to = |appender| scene.to(appender);
        let limit = scene.partition.config().max_message_bytes;
        let large = GroupMetadataMember { assignment: vec![0; limit].into(), ..Default::default() };
        let value = GroupMetadataValue { generation: 1, members: vec![large], ..Default::default() };
        let key = GroupMetadataKey { group: "g".to_owned() };
        let records = vec![GroupRecord::GroupMetadata(key, Some(value))];
        let refused = slot.lock().store(Effects { records, ..Effects::default() }, to(&full)).unwrap();
        settle_all(&slot).await;
        assert!(refused.unwrap().await.unwrap().is_err());

        // A commit is measured with it, and others are not.
        let commit = Effects { offsets: vec![offset(5)], ..Effects::default() };
        let refused = slot.lock().store(commit, to(roomy));
        assert!(matches!(refused, Err(CoordinatorError::TooLarge { .. })));
        let parked = slot.lock().park(Ticket(7));
        let mut answers = Effects::default();
        answers.reply(Ticket(7), Reply::Join(JoinGroupResponse { generation_id: 1, ..Default::default() }));
        let waiting = slot.lock().store(answers, to(roomy)).unwrap().unwrap();
        settle_all(&slot).await;
        assert!(waiting.await.unwrap().is_ok());
        let Reply::Join(answer) = parked.await.unwrap() else { panic!("a join is answered as one") };
        assert_eq!((answer.error_code, answer.generation_id), (0, 1));
        threads.finish();
    }

    #[tokio::test]
    async fn offsets_that_go_find_room_however_many_they_are() {
        let (scene, slot) = (Scene::new().await, Slot::new(Group::new("g".into())));
        let to = scene.to(&scene.fixture.context.appender);
        let gone = |number| OffsetChange {
            partition: TopicPartition { topic: "t".repeat(249).into(), partition: number },
            committed: None,
        };
        let offsets = (0..5000).map(gone).collect();
        let waiting = slot.lock().store(Effects { offsets, ..Effects::default() }, to).unwrap().unwrap();
        settle_all(&slot).await;
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_refused_event_does_not_come_back_over_a_later_one() {
        let (scene, slot) = (Scene::new().await, Slot::new(Group::new("g".into())));
        let (full, threads) = scene.fixture.full_appender();
        let roomy = &scene.fixture.context.appender;
        let to = |appender| scene.to(appender);
        let first = slot.lock().store(effects(1, 100), to(&full)).unwrap().unwrap();
        let second = slot.lock().store(effects(2, 200), to(roomy)).unwrap().unwrap();
        settle_all(&slot).await;
        assert!(first.await.unwrap().is_err());
        assert!(second.await.unwrap().is_ok());
        assert!(
            slot.lock().store(Effects::default(), to(roomy)).unwrap().is_none(),
            "nothing is left to store"
        );
        assert_eq!(stored(&scene.partition), [2, 200]);
        assert_eq!(slot.lock().group.offsets().get("t", 0).unwrap().offset, 200);
        threads.finish();
    }
}
