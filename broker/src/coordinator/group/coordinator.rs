//! The groups, each behind its lock, and the way of an event through them.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::error::CoordinatorError;
use super::group::{Group, Listed};
use super::images::Images;
use super::offsets_topic::{OffsetsTopic, Opened};
use super::slot::{Destination, Settlement, Slot, SlotState};
use super::timers::{Due, Timers};
use super::{Effects, Env, Moment, Reply, Ticket};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::partition::{AppendError, Appender, Partition};
use crate::stop::Stop;

/// A group that is due again at once is looked at again after this time, so that a fault in it costs no processor.
const DUE_AGAIN_MS: i64 = 10;

/// How often it is said that changes are not stored.
const COMPLAINT_INTERVAL_MS: i64 = 10_000;

/// What the coordinator works with.
#[derive(Debug, Clone)]
pub struct CoordinatorParts {
    /// The broker's settings.
    pub config: Arc<Config>,
    /// The topics.
    pub catalog: Arc<Catalog>,
    /// The way to the commit threads.
    pub appender: Appender,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// The broker's end.
    pub stop: Stop,
}

/// Whether an event needs a group that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meet {
    /// It does.
    Existing,
    /// It may make one.
    Create,
}

/// All groups.
#[derive(Debug)]
pub struct GroupCoordinator {
    parts: CoordinatorParts,
    /// The steady clock's zero.
    started: Instant,
    topic: OffsetsTopic,
    images: Images,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    timers: Timers,
    tickets: AtomicU64,
    /// Members of share groups, with their groups, that nobody has been told of.
    silent_share_members: Mutex<Vec<(Arc<str>, Arc<str>)>>,
    /// About the memory of all durable offsets.
    offsets_bytes: AtomicU64,
    /// When it was last said that a change is not stored, by the steady clock.
    complained_ms: AtomicI64,
}

impl GroupCoordinator {
    /// The groups of this catalog. Those that it has are reached once they are loaded.
    #[must_use]
    pub fn new(parts: CoordinatorParts) -> Self {
        Self {
            topic: OffsetsTopic::open(&parts.catalog),
            parts,
            started: Instant::now(),
            images: Images::default(),
            slots: Mutex::default(),
            timers: Timers::default(),
            tickets: AtomicU64::new(0),
            silent_share_members: Mutex::default(),
            offsets_bytes: AtomicU64::new(0),
            complained_ms: AtomicI64::new(0),
        }
    }

    /// Has an event happen to a group, and returns when all is durable that the group had appended by then.
    ///
    /// # Errors
    /// [`CoordinatorError`]; unless it is of an append, the event did not happen.
    pub async fn run<R>(
        self: &Arc<Self>,
        group_id: &str,
        meet: Meet,
        event: impl FnOnce(&mut Group, &Env<'_>, &mut Effects) -> R,
    ) -> Result<R, CoordinatorError> {
        let opened = self.opened(group_id, meet).await?;
        let partition = opened.partition_of(group_id)?;
        let (result, waiting) = self.with_slot(group_id, meet, |slot, state| {
            self.catch_up(slot, state, partition)?;
            Ok(self.happen(slot, state, partition, event))
        })?;
        settled(waiting?).await?;
        Ok(result)
    }

    /// Has an event happen that may leave its request parked: it returns none then, and answers its ticket later.
    ///
    /// # Errors
    /// As for [`Self::run`].
    pub async fn park(
        self: &Arc<Self>,
        group_id: &str,
        meet: Meet,
        event: impl FnOnce(&mut Group, Ticket, &Env<'_>, &mut Effects) -> Option<Reply>,
    ) -> Result<Reply, CoordinatorError> {
        let opened = self.opened(group_id, meet).await?;
        let partition = opened.partition_of(group_id)?;
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let (reply, waiting, parked) = self.with_slot(group_id, meet, |slot, state| {
            self.catch_up(slot, state, partition)?;
            let parked = state.park(ticket);
            let (reply, waiting) = self.happen(slot, state, partition, |group, env, fx| {
                let reply = event(group, ticket, env, fx);
                // One that answered its own ticket has parked for no time at all.
                reply.filter(|_| !fx.replies.iter().any(|(answered, _)| *answered == ticket))
            });
            if reply.is_some() {
                state.unpark(ticket);
                self.tidy(slot, state);
            }
            Ok((reply, waiting, parked))
        })?;
        if let Some(reply) = reply {
            settled(waiting?).await?;
            return Ok(reply);
        }
        drop(waiting);
        tokio::select! {
            reply = parked => reply.map_err(|_| CoordinatorError::Stopping),
            () = self.parts.stop.stopped() => Err(CoordinatorError::Stopping),
        }
    }

    /// Looks at a group without changing it. What it sees of members may not be durable yet; offsets are.
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownGroup`], [`CoordinatorError::Loading`].
    pub fn look<R>(&self, group_id: &str, look: impl FnOnce(&Group) -> R) -> Result<R, CoordinatorError> {
        let opened = self.topic.get().ok_or(CoordinatorError::UnknownGroup)?;
        opened.partition_of(group_id)?;
        let slot = self.lock_slots().get(group_id).cloned().ok_or(CoordinatorError::UnknownGroup)?;
        let state = slot.lock();
        if state.group.is_vacant() {
            return Err(CoordinatorError::UnknownGroup);
        }
        Ok(look(&state.group))
    }

    /// Every group, by id.
    ///
    /// # Errors
    /// [`CoordinatorError::Loading`] until all are there.
    pub fn list(&self) -> Result<Vec<Listed>, CoordinatorError> {
        if self.topic.get().is_some_and(|opened| !opened.is_loaded()) {
            return Err(CoordinatorError::Loading);
        }
        let slots = self.all_slots();
        let listed = slots.iter().filter_map(|slot| {
            let state = slot.lock();
            (!state.group.is_vacant()).then(|| state.group.listed())
        });
        let mut listed: Vec<Listed> = listed.collect();
        listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(listed)
    }

    /// Forgets offsets that nobody has used for long, and groups without members that have none left.
    pub fn expire_offsets(self: &Arc<Self>, now_ms: i64) {
        let retention_ms = self.parts.config.groups.offsets.retention_ms;
        self.visit_all(|group, fx| group.expire(now_ms, retention_ms, fx));
    }

    /// Forgets the offsets of topics that are gone.
    pub fn forget_topics(self: &Arc<Self>, gone: &HashSet<String>) {
        if !gone.is_empty() {
            self.visit_all(|group, fx| group.forget_topics(gone, fx));
        }
    }

    /// Has an event happen to every group. Nobody waits for what it wants stored.
    fn visit_all(self: &Arc<Self>, event: impl Fn(&mut Group, &mut Effects)) {
        let Some(opened) = self.topic.get() else { return };
        for slot in self.all_slots() {
            let mut state = slot.lock();
            let partition = opened.partition_of(state.group.id()).ok().filter(|_| !state.is_removed);
            let Some(partition) = partition else { continue };
            let (_, waiting) = self.happen(&slot, &mut state, partition, |group, _env, fx| event(group, fx));
            drop(waiting);
        }
    }

    /// Groups and members of share groups that fell silent since this was last asked: what they have is to go back.
    pub fn take_silent_share_members(&self) -> Vec<(Arc<str>, Arc<str>)> {
        std::mem::take(&mut *self.lock_silent())
    }

    /// Makes the topic of the groups, if it is not there.
    ///
    /// # Errors
    /// [`CoordinatorError::Topic`].
    pub async fn make_topic(&self) -> Result<(), CoordinatorError> {
        self.topic.get_or_make(&self.parts.catalog, &self.parts.config.groups.offsets).await.map(drop)
    }

    /// About the memory that all committed offsets take, bytes.
    #[must_use]
    pub fn offsets_bytes(&self) -> u64 {
        self.offsets_bytes.load(Ordering::Relaxed)
    }

    /// Wakes groups when they want to be, until the broker stops.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.timers.next_ms().map(|deadline_ms| {
                self.started + Duration::from_millis(u64::try_from(deadline_ms).unwrap_or(0))
            });
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.parts.stop.stopped() => return,
                () = self.timers.until_earlier() => {}
                () = due => {
                    while let Some(due) = self.timers.take_due(self.steady_ms()) {
                        self.wake(&due);
                    }
                }
            }
        }
    }

    fn wake(self: &Arc<Self>, due: &Due) {
        let Some(opened) = self.topic.get() else { return };
        let Ok(partition) = opened.partition_of(&due.group_id) else { return };
        let slot = self.lock_slots().get(&due.group_id).cloned();
        // A group that is gone waits for nothing.
        let Some(slot) = slot else { return };
        let mut state = slot.lock();
        if state.is_removed || state.armed_ms != Some(due.deadline_ms) {
            return;
        }
        // Even where nobody is a member any more: whoever comes next needs the timer.
        state.armed_ms = None;
        let (_, waiting) = self.happen(&slot, &mut state, partition, |group, env, fx| {
            if group.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= env.now.steady_ms) {
                group.on_deadline(env, fx);
            }
        });
        // Nobody waits for the answer.
        drop(waiting);
    }

    /// The topic of the groups, which an event that may make a group makes too.
    async fn opened(&self, group_id: &str, meet: Meet) -> Result<Arc<Opened>, CoordinatorError> {
        if self.parts.stop.is_stopped() {
            return Err(CoordinatorError::Stopping);
        }
        debug_assert!(group_id.len() <= usize::from(u16::MAX), "ids come from the wire");
        match (self.topic.get(), meet) {
            (Some(opened), _) => Ok(opened),
            (None, Meet::Existing) => Err(CoordinatorError::UnknownGroup),
            (None, Meet::Create) => {
                self.topic.get_or_make(&self.parts.catalog, &self.parts.config.groups.offsets).await
            }
        }
    }

    /// Locks the group's slot, which is made if the event may make a group.
    fn with_slot<R>(
        &self,
        group_id: &str,
        meet: Meet,
        enter: impl FnOnce(&Arc<Slot>, &mut SlotState) -> Result<R, CoordinatorError>,
    ) -> Result<R, CoordinatorError> {
        loop {
            let slot = self.slot(group_id, meet)?;
            let mut state = slot.lock();
            if state.is_removed {
                // There is another one by now, or none.
                continue;
            }
            if meet == Meet::Existing && state.group.is_vacant() {
                return Err(CoordinatorError::UnknownGroup);
            }
            return enter(&slot, &mut state);
        }
    }

    fn slot(&self, group_id: &str, meet: Meet) -> Result<Arc<Slot>, CoordinatorError> {
        let limit = self.parts.config.groups.groups_max;
        let mut slots = self.lock_slots();
        match slots.get(group_id) {
            Some(slot) => Ok(Arc::clone(slot)),
            None if meet == Meet::Existing => Err(CoordinatorError::UnknownGroup),
            None if limit <= slots.len() => Err(CoordinatorError::TooManyGroups { limit }),
            None => {
                let id: Arc<str> = group_id.into();
                let slot = Arc::new(Slot::new(Group::new(Arc::clone(&id))));
                slots.insert(id, Arc::clone(&slot));
                Ok(slot)
            }
        }
    }

    /// The event, what it wants stored, and the timer that it wants.
    fn happen<R>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        partition: &Arc<Partition>,
        event: impl FnOnce(&mut Group, &Env<'_>, &mut Effects) -> R,
    ) -> (R, Result<Option<oneshot::Receiver<Settlement>>, CoordinatorError>) {
        let topics = self.images.current(&self.parts.catalog);
        let now = Moment { wall_ms: self.parts.clock.now_ms(), steady_ms: self.steady_ms() };
        let live = self.parts.catalog.live();
        let group = live.group(state.group.id());
        let env = Env { now, config: &live.config, group: &group, topics: &topics, fresh_id: Uuid::new_v4() };
        let mut effects = Effects::default();
        let result = event(&mut state.group, &env, &mut effects);
        if !effects.silent_share_members.is_empty() {
            let left = std::mem::take(&mut effects.silent_share_members);
            let group_id = state.group.id();
            self.lock_silent().extend(left.into_iter().map(|member_id| (Arc::clone(group_id), member_id)));
        }
        let to = Destination { appender: &self.parts.appender, partition, now_ms: now.wall_ms };
        let waiting = state.store(effects, to);
        if let Err(error) = &waiting {
            self.complain(error);
        }
        if state.wants_await() {
            tokio::spawn(Arc::clone(self).await_appends(Arc::clone(slot)));
        }
        self.arm(state, now.steady_ms);
        self.tidy(slot, state);
        (result, waiting)
    }

    /// Lets no more happen to a group of which the log lacks as much as its members may take: first that is tried again.
    fn catch_up(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        state: &mut SlotState,
        partition: &Arc<Partition>,
    ) -> Result<(), CoordinatorError> {
        let bytes = state.lacking_bytes;
        if bytes <= self.parts.config.groups.classic.members_bytes_max {
            return Ok(());
        }
        let (_, waiting) = self.happen(slot, state, partition, |_, _, _| ());
        // Nobody waits for the answer.
        drop(waiting);
        Err(CoordinatorError::Behind { bytes })
    }

    /// Says that a change is not stored, once in a while: a full disk refuses all of them.
    fn complain(&self, error: &dyn Error) {
        let (now_ms, last_ms) = (self.steady_ms(), self.complained_ms.load(Ordering::Relaxed));
        if last_ms == 0 || COMPLAINT_INTERVAL_MS <= now_ms - last_ms {
            self.complained_ms.store(now_ms.max(1), Ordering::Relaxed);
            tracing::warn!(%error, "changes of groups are not stored");
        }
    }

    /// Takes over the groups of a partition that was read. Nobody reaches them before they are all there.
    pub(super) fn take_over(self: &Arc<Self>, opened: &Opened, index: usize, groups: Vec<Group>) {
        let Some(partition) = opened.partitions().nth(index) else { return };
        let slots: Vec<Arc<Slot>> = groups.into_iter().map(|group| Arc::new(Slot::new(group))).collect();
        for slot in &slots {
            let mut state = slot.lock();
            self.offsets_bytes.fetch_add(state.group.offsets().bytes(), Ordering::Relaxed);
            self.lock_slots().insert(Arc::clone(state.group.id()), Arc::clone(slot));
            let (_, waiting) =
                self.happen(slot, &mut state, partition, |group, env, fx| group.loaded(env, fx));
            // Nobody waits for the answer.
            drop(waiting);
        }
        opened.set_loaded(index);
        // A timer that went off before that has found no way to its group.
        for slot in &slots {
            let mut state = slot.lock();
            self.disarm(&mut state);
            self.arm(&mut state, self.steady_ms());
        }
    }

    pub(super) fn opened_topic(&self) -> Option<Arc<Opened>> {
        self.topic.get()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.parts.stop.is_stopped()
    }

    /// Settles what is in flight, in order, until nothing is.
    async fn await_appends(self: Arc<Self>, slot: Arc<Slot>) {
        loop {
            let Some(answer) = slot.lock().next_answer() else { return };
            // A reply that was dropped is a job that the commit threads no longer took.
            let result = answer.await.unwrap_or(Err(AppendError::Stopping)).map(drop);
            if let Err(error) = &result {
                self.complain(error);
            }
            let mut state = slot.lock();
            let before = state.group.offsets().bytes();
            state.settle(&result);
            let after = state.group.offsets().bytes();
            self.offsets_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            self.tidy(&slot, &mut state);
        }
    }

    /// Tells the timers when the group wants to be looked at, if they do not wake it earlier anyway.
    fn arm(&self, state: &mut SlotState, now_ms: i64) {
        let Some(wanted_ms) = state.group.next_deadline_ms() else { return };
        let deadline_ms = if wanted_ms <= now_ms { now_ms + DUE_AGAIN_MS } else { wanted_ms };
        if state.armed_ms.is_none_or(|armed_ms| deadline_ms < armed_ms) {
            self.disarm(state);
            state.armed_ms = Some(deadline_ms);
            self.timers.add(Due { deadline_ms, group_id: Arc::clone(state.group.id()) });
        }
    }

    /// Takes the group's deadline back, so that none is kept for longer than its group.
    fn disarm(&self, state: &mut SlotState) {
        if let Some(deadline_ms) = state.armed_ms.take() {
            self.timers.remove(&Due { deadline_ms, group_id: Arc::clone(state.group.id()) });
        }
    }

    /// Takes the slot out if there is no such group. The lock of the slot is held before the one of the map.
    fn tidy(&self, slot: &Arc<Slot>, state: &mut SlotState) {
        if state.is_removed || !state.is_vacant() {
            return;
        }
        state.is_removed = true;
        self.disarm(state);
        let mut slots = self.lock_slots();
        if slots.get(state.group.id()).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            slots.remove(state.group.id());
        }
    }

    fn steady_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.lock_slots().values().cloned().collect()
    }

    fn lock_silent(&self) -> MutexGuard<'_, Vec<(Arc<str>, Arc<str>)>> {
        self.silent_share_members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_slots(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn settled(waiting: Option<oneshot::Receiver<Settlement>>) -> Settlement {
    match waiting {
        None => Ok(()),
        Some(waiting) => waiting.await.unwrap_or(Err(CoordinatorError::Stopping)),
    }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::group_records::{GroupMetadataKey, GroupRecord};
    use sendlog_protocol::messages::JoinGroupRequest;

    use super::*;
    use crate::api::testing::Fixture;
    use crate::coordinator::group::classic::Joiner;

    const JOINER: Joiner<'_> =
        Joiner { client_id: "c", client_host: "/h", needs_id_first: true, can_skip_assignment: true };

    fn groups(fixture: &Fixture, appender: &Appender) -> Arc<GroupCoordinator> {
        let context = &fixture.context;
        Arc::new(GroupCoordinator::new(CoordinatorParts {
            config: Arc::clone(&context.config),
            catalog: Arc::clone(&context.catalog),
            appender: appender.clone(),
            clock: Arc::clone(&context.clock),
            stop: context.stop.clone(),
        }))
    }

    /// A member is given its id, with which it is to come back in time.
    async fn ask_for_id(groups: &Arc<GroupCoordinator>, group_id: &str) {
        let request = JoinGroupRequest {
            protocol_type: "consumer".to_owned(),
            protocols: vec![Default::default()],
            session_timeout_ms: 60_000,
            ..Default::default()
        };
        let asked = groups.park(group_id, Meet::Create, |group, ticket, env, fx| {
            group.join(request, JOINER, ticket, env, fx).map(Reply::Join)
        });
        assert!(matches!(asked.await, Ok(Reply::Join(answer)) if !answer.member_id.is_empty()));
    }

    #[tokio::test]
    async fn a_group_that_comes_back_while_its_end_is_not_stored_has_its_timer() {
        let fixture = Fixture::new();
        let (full, threads) = fixture.full_appender();
        let groups = groups(&fixture, &full);
        let end = |_: &mut Group, _: &Env<'_>, fx: &mut Effects| {
            fx.append(GroupRecord::GroupMetadata(GroupMetadataKey { group: "g".to_owned() }, None));
        };
        let refused = groups.run("g", Meet::Create, end).await;
        assert!(matches!(refused, Err(CoordinatorError::Append(AppendError::Full(_)))));
        let slot = Arc::clone(&groups.all_slots()[0]);
        // A timer of what the group was.
        slot.lock().armed_ms = Some(5);
        groups.wake(&Due { deadline_ms: 5, group_id: "g".into() });
        assert_eq!(slot.lock().armed_ms, None);
        drop(groups);
        threads.finish();
    }

    #[tokio::test]
    async fn a_full_disk_does_not_have_a_group_grow_for_ever() {
        let fixture = Fixture::new();
        let (full, threads) = fixture.full_appender();
        let groups = groups(&fixture, &full);
        let limit = fixture.context.config.groups.classic.members_bytes_max;
        let mut happened = 0;
        let refused = loop {
            let event = |_: &mut Group, _: &Env<'_>, fx: &mut Effects| {
                happened += 1;
                // A name that no record had before.
                let key = GroupMetadataKey { group: format!("{happened:030000}") };
                fx.append(GroupRecord::GroupMetadata(key, None));
            };
            let error = groups.run("g", Meet::Create, event).await.unwrap_err();
            if !matches!(error, CoordinatorError::Append(AppendError::Full(_))) {
                break error;
            }
        };
        assert!(matches!(refused, CoordinatorError::Behind { bytes } if limit < bytes), "{refused}");
        assert_eq!(happened, limit / 30_000 + 1);
        let again = groups.run("g", Meet::Create, |_, _, _| panic!("it does not happen")).await;
        assert!(matches!(again, Err(CoordinatorError::Behind { .. })));
        drop(groups);
        threads.finish();
    }

    #[tokio::test]
    async fn no_deadline_is_kept_for_a_group_that_is_gone() {
        let fixture = Fixture::new();
        let groups = groups(&fixture, &fixture.context.appender);
        ask_for_id(&groups, "g").await;
        ask_for_id(&groups, "h").await;
        assert!(groups.timers.next_ms().is_some());
        for group_id in ["g", "h"] {
            groups.run(group_id, Meet::Existing, |group, _, fx| group.delete(fx)).await.unwrap().unwrap();
        }
        assert!(groups.all_slots().is_empty());
        assert_eq!(groups.timers.next_ms(), None);
    }
}
