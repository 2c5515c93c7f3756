//! JoinGroup.

use std::sync::Arc;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};

use super::answers::refuse_join;
use super::member::{Member, owned_protocols, protocols_bytes};
use super::roster::MemberUpdate;
use super::{ClassicGroup, State};
use crate::coordinator::group::{Effects, Env, Reply, Ticket};

/// How long the JoinGroup of a new member is kept. A client that gave up waiting leaves a member behind that nobody knows:
/// it must not hold up rebalances for ever.
const NEW_MEMBER_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// Longest part of a client's id in the member id that it is given: an id must fit everywhere that it is written.
const CLIENT_ID_BYTES_MAX: usize = 255;

/// Who joins, beside what the request says.
#[derive(Debug, Clone, Copy)]
pub struct Joiner<'a> {
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Where it connects from, with a slash before it.
    pub client_host: &'a str,
    /// Whether a dynamic member is given its id first, and joins with it (KIP-394).
    pub needs_id_first: bool,
    /// Whether a leader can be told that the assignment stands (KIP-814).
    pub can_skip_assignment: bool,
}

/// A request as the group's functions hand it on.
pub(super) struct Join<'a> {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) protocol_type: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) protocols: Vec<JoinGroupRequestProtocol>,
    pub(super) reason: String,
    pub(super) joiner: Joiner<'a>,
    pub(super) ticket: Ticket,
}

impl Join<'_> {
    pub(super) fn update(self) -> MemberUpdate {
        MemberUpdate {
            protocols: self.protocols,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
        }
    }

    fn fresh_id(&self, env: &Env<'_>) -> Arc<str> {
        let prefix = self.instance_id.as_deref().unwrap_or(self.joiner.client_id);
        let mut end = prefix.len().min(CLIENT_ID_BYTES_MAX);
        while !prefix.is_char_boundary(end) {
            end -= 1;
        }
        let (prefix, _) = prefix.split_at(end);
        format!("{prefix}-{}", env.fresh_id.hyphenated()).into()
    }
}

impl ClassicGroup {
    /// A member joins, or joins again. `None`: the answer to `ticket` is a reply, of this event or a later one.
    pub fn join(
        &mut self,
        request: JoinGroupRequest,
        joiner: Joiner<'_>,
        ticket: Ticket,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<JoinGroupResponse> {
        let join = Join {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            protocol_type: request.protocol_type,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: owned_protocols(request.protocols),
            reason: request.reason.unwrap_or_else(|| "not provided".to_owned()),
            joiner,
            ticket,
        };
        if !self.has_room_for(&join, env) {
            self.turn_away(&join.member_id, env, fx);
            return Some(refuse_join("", ErrorCode::GroupMaxSizeReached));
        }
        if !self.accepts(&join.protocol_type, &join.protocols) {
            return Some(refuse_join(&join.member_id, ErrorCode::InconsistentGroupProtocol));
        }
        if join.member_id.is_empty() {
            self.join_without_id(join, env, fx)
        } else {
            self.join_with_id(join, env, fx)
        }
    }

    /// Kafka's rule for `group.max.size`: while a generation is prepared, those that have joined it count, so that a group
    /// that is too large loses those that come last. Memory has a limit of its own.
    fn has_room_for(&self, join: &Join<'_>, env: &Env<'_>) -> bool {
        let known = join.instance_id.as_deref().and_then(|id| self.roster.of_instance(id)).map(Arc::as_ref);
        let member =
            self.roster.get(if join.member_id.is_empty() { known.unwrap_or("") } else { &join.member_id });
        let held = member.map_or(0, |member| protocols_bytes(&member.protocols));
        let bytes = (self.roster.bytes() + protocols_bytes(&join.protocols)).saturating_sub(held);
        if env.config.groups.classic.members_bytes_max < bytes {
            return false;
        }
        let members_max = env.config.groups.classic.size_max;
        match self.state {
            State::Empty => true,
            State::PreparingRebalance(_) => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.roster.awaiting_join() < members_max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.roster.len() < members_max,
        }
    }

    /// A member that the group has become too small for goes, and nobody waits for it any longer.
    fn turn_away(&mut self, id: &str, env: &Env<'_>, fx: &mut Effects) {
        let members_before = self.roster.len();
        self.roster.remove_pending(id);
        self.remove_member(id, fx);
        if self.roster.len() < members_before {
            self.rebalance_or_complete("a member found no room", env, fx);
        } else {
            self.complete_if_all_joined(env, fx);
        }
    }

    fn accepts(&self, protocol_type: &str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type() == protocol_type && self.roster.supports(protocols)
    }

    fn join_without_id(
        &mut self,
        join: Join<'_>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<JoinGroupResponse> {
        let new_id = join.fresh_id(env);
        if let Some(instance_id) = &join.instance_id {
            return match self.roster.of_instance(instance_id).cloned() {
                Some(old_id) => self.replace_static_member(join, &old_id, &new_id, env, fx),
                None => self.add_member(join, new_id, env, fx),
            };
        }
        if join.joiner.needs_id_first {
            let deadline_ms = env.now.steady_ms + i64::from(join.session_timeout_ms);
            self.roster.add_pending(Arc::clone(&new_id), deadline_ms);
            return Some(refuse_join(&new_id, ErrorCode::MemberIdRequired));
        }
        self.add_member(join, new_id, env, fx)
    }

    fn join_with_id(&mut self, join: Join<'_>, env: &Env<'_>, fx: &mut Effects) -> Option<JoinGroupResponse> {
        // One that was given an id cannot turn static on the way.
        if self.roster.is_pending(&join.member_id) && join.instance_id.is_none() {
            let id = join.member_id.as_str().into();
            return self.add_member(join, id, env, fx);
        }
        if let Err(error) = self.roster.validate(&join.member_id, join.instance_id.as_deref()) {
            return Some(refuse_join(&join.member_id, error));
        }
        let is_changed =
            self.roster.get(&join.member_id).is_some_and(|member| !member.matches(&join.protocols));
        let starts_over = match self.state {
            // There are no members in an empty group.
            State::Empty => return Some(refuse_join(&join.member_id, ErrorCode::UnknownMemberId)),
            State::PreparingRebalance(_) => true,
            // Unchanged, it may have missed the answer of the present generation: it gets that again.
            State::CompletingRebalance => is_changed,
            // A leader joins again when something changed that only it sees, such as partitions that were added.
            State::Stable => is_changed || self.roster.is_leader(&join.member_id),
        };
        if starts_over { self.rejoin(join, env, fx) } else { Some(self.joined(&join.member_id)) }
    }

    fn add_member(
        &mut self,
        join: Join<'_>,
        id: Arc<str>,
        env: &Env<'_>,
        fx: &mut Effects,
    ) -> Option<JoinGroupResponse> {
        let reason = format!("member {id} joins: {}", join.reason);
        if self.roster.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if let State::PreparingRebalance(preparation) = &mut self.state
            && let Some(initial) = &mut preparation.initial
        {
            initial.member_came = true;
        }
        self.roster.add(Member {
            id,
            instance_id: join.instance_id,
            client_id: join.joiner.client_id.to_owned(),
            client_host: join.joiner.client_host.to_owned(),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            is_new: true,
            awaiting_join: Some(join.ticket),
            awaiting_sync: None,
            session_deadline_ms: env.now.steady_ms + NEW_MEMBER_TIMEOUT_MS,
        });
        self.rebalance_or_complete(&reason, env, fx);
        None
    }

    fn rejoin(&mut self, join: Join<'_>, env: &Env<'_>, fx: &mut Effects) -> Option<JoinGroupResponse> {
        let id = join.member_id.clone();
        let reason = format!("member {id} joins again: {}", join.reason);
        self.wait_to_join(&id, join, fx);
        self.rebalance_or_complete(&reason, env, fx);
        None
    }

    /// Parks a member's JoinGroup. An earlier one, whose connection must be gone, is told to join again.
    pub(super) fn wait_to_join(&mut self, id: &str, join: Join<'_>, fx: &mut Effects) {
        if let Some(earlier) = self.roster.park_join(id, join.ticket) {
            fx.reply(earlier, Reply::Join(refuse_join(id, ErrorCode::RebalanceInProgress)));
        }
        self.roster.update(id, join.update());
    }
}
