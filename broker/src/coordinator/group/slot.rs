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
use sendlog_protocol::group_records::GroupRecord;
use sendlog_protocol::wire::EncodeError;
use tokio::sync::oneshot;

use super::backlog::Backlog;
use super::batch;
use super::error::CoordinatorError;
use super::group::Group;
use super::record;
use super::{Effects, Reply, Ticket};
use crate::partition::{AckAt, AppendError, AppendResult, Appender, Partition};

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
    /// [`CoordinatorError::TooLarge`] for offsets that no batch has room for, [`CoordinatorError::Encode`]; nothing was
    /// stored then.
    pub(super) fn store(
        &mut self,
        effects: Effects,
        to: Destination<'_>,
    ) -> Result<Option<oneshot::Receiver<Settlement>>, CoordinatorError> {
        let Effects { records, replies, offsets } = effects;
        let group_id = self.group.id();
        let offset_records: Result<Vec<_>, EncodeError> =
            offsets.iter().map(|change| record::encode_offset(group_id, change)).collect();
        let (offset_records, new_records) = (offset_records?, encode_all(&records)?);
        let is_offsets_only = records.is_empty();
        let mut state_records = self.backlog.take();
        state_records.extend(new_records);
        if state_records.is_empty() && offset_records.is_empty() {
            return Ok(self.wait_for_last(replies));
        }
        let batch = batch::of(state_records.iter().chain(&offset_records), to.now_ms);
        let limit = to.partition.config().max_message_bytes;
        let bytes = batch.as_ref().map_or(usize::MAX, |batch| batch.bytes.len());
        let (Ok(batch), true) = (batch, !is_offsets_only || bytes <= limit) else {
            self.backlog.add(state_records);
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

    /// The oldest batch is durable, or was refused. `refused_code` is Kafka's for the latter.
    pub(super) fn settle(&mut self, result: &Result<(), AppendError>, refused_code: i16) {
        let Some(oldest) = self.in_flight.pop_front() else { return };
        if oldest.has_offsets {
            self.group.offsets_mut().settle(result.is_ok());
        }
        let mut replies = oldest.replies;
        match result {
            Ok(()) => self.backlog.supersede(&oldest.records),
            Err(_) => {
                self.backlog.add(oldest.records);
                replies = replies
                    .into_iter()
                    .map(|(ticket, reply)| (ticket, reply.refused(refused_code)))
                    .collect();
            }
        }
        self.deliver(replies);
        for waiter in oldest.waiters {
            // One who left does not want to know.
            let _ = waiter.send(result.clone().map_err(CoordinatorError::Append));
        }
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

/// Strings of requests are no longer than those of records, so an error is one of our own.
fn encode_all(records: &[GroupRecord]) -> Result<Vec<EncodedRecord>, EncodeError> {
    records.iter().map(GroupRecord::encode).collect()
}
