//! The group by scenario, with time in the test's hand.

mod joining;
mod offsets;
mod random_events;
mod rebalancing;
mod restarting;
mod static_members;
mod time_outs;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use clap::Parser;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::group_records::{GroupMetadataValue, GroupRecord};
use sendlog_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, MemberIdentity, SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use uuid::Uuid;

use super::*;
use crate::config::group_config::GroupConfig;
use crate::config::scope::Overrides;
use crate::config::{Args, Config};
use crate::coordinator::group::{Effects, Reply, Ticket, TopicsImage};

/// Kafka's default.
const INITIAL_DELAY_MS: i64 = 3000;
const SESSION_MS: i64 = 10_000;
const REBALANCE_MS: i64 = 60_000;

/// A group and all that happens to it.
struct Bench {
    group: ClassicGroup,
    config: Config,
    now_ms: i64,
    tickets: u64,
    ids: u128,
    answers: HashMap<Ticket, Reply>,
    log: Vec<GroupRecord>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Asked(Ticket);

/// A JoinGroup with what matters to tests.
#[derive(Debug, Clone)]
struct Joining {
    request: JoinGroupRequest,
    needs_id_first: bool,
    can_skip_assignment: bool,
}

fn joining(member_id: &str) -> Joining {
    let request = JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: i32::try_from(SESSION_MS).unwrap(),
        rebalance_timeout_ms: i32::try_from(REBALANCE_MS).unwrap(),
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", b"topics")],
        ..JoinGroupRequest::default()
    };
    Joining { request, needs_id_first: false, can_skip_assignment: true }
}

fn protocol(name: &str, metadata: &'static [u8]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol { name: name.to_owned(), metadata: Bytes::from_static(metadata) }
}

impl Joining {
    fn with_protocols(mut self, protocols: &[&str]) -> Self {
        self.request.protocols = protocols.iter().map(|name| protocol(name, b"topics")).collect();
        self
    }

    fn of_instance(mut self, instance_id: &str) -> Self {
        self.request.group_instance_id = Some(instance_id.to_owned());
        self
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[&str]) -> Self {
        let mut args = vec!["broker", "--data-dir", "unused"];
        args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        Self {
            group: ClassicGroup::new(&Arc::from("g")),
            config: Config::load(&Args::parse_from(args)).unwrap(),
            now_ms: 1_000_000,
            tickets: 0,
            ids: 0,
            answers: HashMap::new(),
            log: Vec::new(),
        }
    }

    /// An event; its effects are taken.
    fn happen<R>(&mut self, event: impl FnOnce(&mut ClassicGroup, &Env<'_>, &mut Effects) -> R) -> R {
        self.ids += 1;
        let topics = TopicsImage::default();
        let env = Env {
            now: Moment { wall_ms: self.now_ms + 5, steady_ms: self.now_ms },
            config: &self.config,
            group: &GroupConfig::resolve(&self.config.groups, &Overrides::new()),
            topics: &topics,
            fresh_id: Uuid::from_u128(self.ids),
        };
        let mut fx = Effects::default();
        let result = event(&mut self.group, &env, &mut fx);
        self.log.extend(fx.records);
        for (ticket, reply) in fx.replies {
            assert_eq!(self.answers.insert(ticket, reply), None, "{ticket:?} is answered twice");
        }
        result
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn ask_join(&mut self, joining: &Joining) -> Asked {
        let ticket = self.ticket();
        let joiner = Joiner {
            client_id: "client",
            client_host: "/192.0.2.1",
            needs_id_first: joining.needs_id_first,
            can_skip_assignment: joining.can_skip_assignment,
        };
        let request = joining.request.clone();
        let answer = self.happen(|group, env, fx| group.join(request, joiner, ticket, env, fx));
        if let Some(answer) = answer {
            assert_eq!(self.answers.insert(ticket, Reply::Join(answer)), None);
        }
        Asked(ticket)
    }

    fn ask_sync(&mut self, member_id: &str, generation_id: i32, assignments: &[(&str, &str)]) -> Asked {
        let assignment = |(member_id, assignment): &(&str, &str)| SyncGroupRequestAssignment {
            member_id: (*member_id).to_owned(),
            assignment: Bytes::copy_from_slice(assignment.as_bytes()),
        };
        let request = SyncGroupRequest {
            generation_id,
            member_id: member_id.to_owned(),
            assignments: assignments.iter().map(assignment).collect(),
            ..SyncGroupRequest::default()
        };
        self.ask_sync_as(request)
    }

    fn ask_sync_as(&mut self, request: SyncGroupRequest) -> Asked {
        let ticket = self.ticket();
        let answer = self.happen(|group, env, fx| group.sync(request, ticket, env, fx));
        if let Some(answer) = answer {
            assert_eq!(self.answers.insert(ticket, Reply::Sync(answer)), None);
        }
        Asked(ticket)
    }

    fn is_waiting(&self, asked: Asked) -> bool {
        !self.answers.contains_key(&asked.0)
    }

    fn joined(&self, asked: Asked) -> JoinGroupResponse {
        match self.answers.get(&asked.0) {
            Some(Reply::Join(answer)) => answer.clone(),
            other => panic!("not joined: {other:?}"),
        }
    }

    fn join_error(&self, asked: Asked) -> ErrorCode {
        ErrorCode::from_code(self.joined(asked).error_code).unwrap()
    }

    fn synced(&self, asked: Asked) -> SyncGroupResponse {
        match self.answers.get(&asked.0) {
            Some(Reply::Sync(answer)) => answer.clone(),
            other => panic!("not synced: {other:?}"),
        }
    }

    fn sync_error(&self, asked: Asked) -> ErrorCode {
        ErrorCode::from_code(self.synced(asked).error_code).unwrap()
    }

    fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        let member_id = member_id.to_owned();
        let request = HeartbeatRequest { generation_id, member_id, ..HeartbeatRequest::default() };
        let answer = self.happen(|group, env, _| group.heartbeat(&request, env));
        ErrorCode::from_code(answer.error_code).unwrap()
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
        let member = |&(member_id, instance_id): &(&str, Option<&str>)| MemberIdentity {
            member_id: member_id.to_owned(),
            group_instance_id: instance_id.map(str::to_owned),
            reason: None,
        };
        let members = members.iter().map(member).collect();
        let request = LeaveGroupRequest { members, ..LeaveGroupRequest::default() };
        self.happen(|group, env, fx| group.leave(request, env, fx))
    }

    /// Lets time pass; what is due happens when it is.
    fn pass(&mut self, time_ms: i64) {
        let end_ms = self.now_ms + time_ms;
        while let Some(due_ms) = self.group.next_deadline_ms().filter(|due_ms| *due_ms <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.happen(|group, env, fx| group.on_deadline(env, fx));
            assert!(
                self.group
                    .next_deadline_ms()
                    .is_none_or(|next_ms| due_ms < next_ms || next_ms == self.now_ms),
                "what is due stays due"
            );
        }
        self.now_ms = end_ms;
    }

    /// Lets time pass, in which these members send heartbeats, whatever is answered.
    fn pass_with_heartbeats(&mut self, time_ms: i64, members: &[&str]) {
        let end_ms = self.now_ms + time_ms;
        while self.now_ms < end_ms {
            for id in members {
                let generation = self.group.generation();
                self.heartbeat(id, generation);
            }
            self.pass((SESSION_MS / 3).min(end_ms - self.now_ms));
        }
    }

    /// Lets time pass until the first members are told of their generation.
    fn gather(&mut self) {
        while self.group.state_name() == "PreparingRebalance" {
            self.pass(INITIAL_DELAY_MS);
        }
    }

    /// Adds a dynamic member and returns its id, with what it asked.
    fn add(&mut self) -> (String, Asked) {
        self.add_as(&joining(""))
    }

    fn add_as(&mut self, joining: &Joining) -> (String, Asked) {
        let before: Vec<Arc<str>> = self.group.members().map(|member| Arc::clone(&member.id)).collect();
        let asked = self.ask_join(joining);
        let new = self.group.members().map(|member| &member.id).find(|id| !before.contains(id));
        (new.expect("the member is taken").to_string(), asked)
    }

    /// A stable group of so many dynamic members, in their first generation. The first one leads.
    fn stable(members: usize) -> (Self, Vec<String>) {
        let mut bench = Self::new();
        let ids: Vec<String> = (0..members).map(|_| bench.add().0).collect();
        bench.gather();
        bench.sync_all(&ids);
        (bench, ids)
    }

    /// The leader assigns each member its own id, and everyone gets that.
    fn sync_all(&mut self, ids: &[String]) {
        let leader = self.group.leader().unwrap().to_string();
        let generation = self.group.generation();
        let followers: Vec<_> = ids.iter().filter(|id| **id != leader).collect();
        let waiting: Vec<Asked> = followers.iter().map(|id| self.ask_sync(id, generation, &[])).collect();
        let assignments: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let led = self.ask_sync(&leader, generation, &assignments);
        assert_eq!(self.synced(led).assignment, leader.as_bytes());
        for (id, asked) in followers.iter().zip(waiting) {
            assert_eq!(self.synced(asked).assignment, id.as_bytes());
        }
        assert_eq!(self.group.state_name(), "Stable");
    }

    /// Has these join again.
    fn rejoin(&mut self, ids: &[String]) -> Vec<Asked> {
        ids.iter().map(|id| self.ask_join(&joining(id))).collect()
    }

    /// What was stored last.
    fn stored(&self) -> &GroupMetadataValue {
        match self.log.last() {
            Some(GroupRecord::GroupMetadata(_, Some(value))) => value,
            other => panic!("{other:?}"),
        }
    }

    /// The group as a new coordinator has it, some time later.
    fn restarted(&self, settings: &[&str]) -> Self {
        let mut next = Self::with(settings);
        next.tickets = self.tickets;
        next.ids = self.ids;
        next.now_ms = self.now_ms + 1_000_000;
        for record in &self.log {
            next.group.replay(record);
        }
        next.happen(|group, env, fx| group.loaded(env, fx));
        next
    }
}
