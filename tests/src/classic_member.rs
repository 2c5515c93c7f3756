//! A member of a classic group, as scenarios move it: asking and being answered are steps of their own, so that a scenario
//! decides who does what first.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use sendlog_protocol::messages::{
    DescribeGroupsRequest, DescribedGroup, HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol,
    JoinGroupResponse, LeaveGroupRequest, MemberIdentity, SyncGroupRequest, SyncGroupRequestAssignment,
    SyncGroupResponse,
};

use crate::kafka::Kafka;
use crate::offsets::LOADING;

/// MEMBER_ID_REQUIRED.
const MEMBER_ID_REQUIRED: i16 = 79;
/// REBALANCE_IN_PROGRESS.
pub const REBALANCE_IN_PROGRESS: i16 = 27;
/// What members subscribe to: version 0, topic `t`, no user data.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

/// Versions in which a member speaks.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    /// Of JoinGroup.
    pub join: i16,
    /// Of SyncGroup.
    pub sync: i16,
    /// Of Heartbeat.
    pub heartbeat: i16,
    /// Of LeaveGroup.
    pub leave: i16,
}

impl Versions {
    /// The newest ones.
    pub const NEWEST: Self = Self { join: 9, sync: 5, heartbeat: 4, leave: 5 };
}

/// A member, with a connection of its own.
#[derive(Debug)]
pub struct ClassicMember {
    kafka: Kafka,
    group: String,
    /// Given by the broker.
    pub id: String,
    /// Set for a static member.
    pub instance_id: Option<String>,
    /// The generation that it is in.
    pub generation: i32,
    /// Whom the leader has to assign to; of the others that is empty.
    pub to_assign: Vec<String>,
    /// Versions in which it speaks.
    pub versions: Versions,
    /// How long it is kept without a heartbeat.
    pub session_timeout_ms: i32,
}

impl ClassicMember {
    /// One that has yet to join.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn new(address: SocketAddr, group: &str) -> Self {
        Self {
            kafka: Kafka::open(address),
            group: group.to_owned(),
            id: String::new(),
            instance_id: None,
            generation: -1,
            to_assign: Vec::new(),
            versions: Versions::NEWEST,
            session_timeout_ms: 45_000,
        }
    }

    /// One that has yet to join and keeps its place by a name.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn of_instance(address: SocketAddr, group: &str, instance_id: &str) -> Self {
        Self { instance_id: Some(instance_id.to_owned()), ..Self::new(address, group) }
    }

    /// Goes on over another connection, as after a restart of the broker.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn reconnect(&mut self, address: SocketAddr) {
        self.kafka = Kafka::open(address);
    }

    /// As [`reconnect`](Self::reconnect), to a broker that may not be there.
    ///
    /// # Errors
    /// When nothing listens at `address`.
    pub fn try_reconnect(&mut self, address: SocketAddr) -> io::Result<()> {
        self.kafka = Kafka::try_open(address)?;
        Ok(())
    }

    /// Its connection.
    pub fn kafka(&mut self) -> &mut Kafka {
        &mut self.kafka
    }

    /// Asks to join. One that needs an id gets it here.
    ///
    /// # Errors
    /// When the broker closes the connection, or gives no id.
    pub fn try_ask_to_join(&mut self) -> io::Result<()> {
        let version = self.versions.join;
        if self.id.is_empty() && self.instance_id.is_none() && 4 <= version {
            let answer = self.kafka.call(version, &self.join_request())?;
            if answer.error_code != MEMBER_ID_REQUIRED {
                return Err(io::Error::other(format!("{answer:?}")));
            }
            self.id = answer.member_id;
        }
        self.kafka.send(version, &self.join_request())
    }

    /// As [`try_ask_to_join`](Self::try_ask_to_join), of a broker that is there.
    ///
    /// # Panics
    /// When it closes the connection.
    pub fn ask_to_join(&mut self) {
        self.try_ask_to_join().expect("the broker takes a JoinGroup");
    }

    /// What is answered to its JoinGroup.
    ///
    /// # Errors
    /// When the broker closes the connection.
    pub fn try_joined(&mut self) -> io::Result<JoinGroupResponse> {
        let answer = self.kafka.receive::<JoinGroupRequest>(self.versions.join)?;
        if answer.error_code == 0 {
            self.id.clone_from(&answer.member_id);
            self.generation = answer.generation_id;
            self.to_assign = answer.members.iter().map(|member| member.member_id.clone()).collect();
        }
        Ok(answer)
    }

    /// As [`try_joined`](Self::try_joined), which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn joined(&mut self) -> JoinGroupResponse {
        let answer = self.try_joined().expect("a JoinGroup is answered");
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer
    }

    /// Asks for its assignment. A leader brings everyone's: each member's is its own id.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn try_ask_to_sync(&mut self) -> io::Result<()> {
        let assignment = |member_id: &String| SyncGroupRequestAssignment {
            member_id: member_id.clone(),
            assignment: Bytes::from(member_id.clone()),
        };
        let has_protocol = 5 <= self.versions.sync;
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: Some("consumer".to_owned()).filter(|_| has_protocol),
            protocol_name: Some("range".to_owned()).filter(|_| has_protocol),
            assignments: self.to_assign.iter().map(assignment).collect(),
        };
        self.kafka.send(self.versions.sync, &request)
    }

    /// As [`try_ask_to_sync`](Self::try_ask_to_sync), of a broker that is there.
    ///
    /// # Panics
    /// When it closes the connection.
    pub fn ask_to_sync(&mut self) {
        self.try_ask_to_sync().expect("the broker takes a SyncGroup");
    }

    /// What is answered to its SyncGroup.
    ///
    /// # Errors
    /// When the broker closes the connection.
    pub fn try_synced(&mut self) -> io::Result<SyncGroupResponse> {
        self.kafka.receive::<SyncGroupRequest>(self.versions.sync)
    }

    /// As [`try_synced`](Self::try_synced): the assignment.
    ///
    /// # Panics
    /// When there is none.
    pub fn synced(&mut self) -> Bytes {
        let answer = self.try_synced().expect("a SyncGroup is answered");
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.assignment
    }

    /// Asks to join again as soon as a heartbeat says that it should: earlier it would be told of the generation that is.
    ///
    /// # Errors
    /// When the broker closes the connection.
    pub fn rejoin_when_told(&mut self) -> io::Result<()> {
        while self.try_heartbeat()? != REBALANCE_IN_PROGRESS {
            std::thread::yield_now();
        }
        self.try_ask_to_join()
    }

    /// The error code of a heartbeat, 0 for none.
    ///
    /// # Panics
    /// When the broker closes the connection.
    pub fn heartbeat(&mut self) -> i16 {
        self.try_heartbeat().expect("a heartbeat is answered")
    }

    /// As [`heartbeat`](Self::heartbeat), of a broker that may be gone.
    ///
    /// # Errors
    /// When it is.
    pub fn try_heartbeat(&mut self) -> io::Result<i16> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
        };
        Ok(self.kafka.call(self.versions.heartbeat, &request)?.error_code)
    }

    /// Leaves.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn leave(&mut self) {
        assert_eq!(self.try_leave().expect("a LeaveGroup is answered"), 0);
    }

    /// As [`leave`](Self::leave): the error code, 0 for none.
    ///
    /// # Errors
    /// When the broker closes the connection.
    pub fn try_leave(&mut self) -> io::Result<i16> {
        let identity = MemberIdentity {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            reason: Some("the scenario is over".to_owned()).filter(|_| 5 <= self.versions.leave),
        };
        let mut request = LeaveGroupRequest { group_id: self.group.clone(), ..LeaveGroupRequest::default() };
        if 3 <= self.versions.leave {
            request.members = vec![identity];
        } else {
            request.member_id.clone_from(&self.id);
        }
        let answer = self.kafka.call(self.versions.leave, &request)?;
        let of_member = answer.members.first().map_or(0, |member| member.error_code);
        Ok(if answer.error_code == 0 { of_member } else { answer.error_code })
    }

    fn join_request(&self) -> JoinGroupRequest {
        JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: if self.versions.join == 0 { -1 } else { 300_000 },
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".to_owned(),
                metadata: Bytes::from_static(SUBSCRIPTION),
            }],
            reason: Some("the scenario wants it".to_owned()).filter(|_| 8 <= self.versions.join),
        }
    }
}

/// Takes these, who must be all that the group has, to the next generation; each is then assigned its own id. The first one
/// begins, so it must be new or the leader, unless somebody has left.
///
/// # Panics
/// When that does not happen.
pub fn rebalance(members: &mut [&mut ClassicMember]) {
    let (first, others) = members.split_first_mut().expect("members");
    first.ask_to_join();
    for member in others {
        member.rejoin_when_told().expect("the broker takes a JoinGroup");
    }
    finish_rebalance(members);
}

/// As [`rebalance`], when all have asked to join.
///
/// # Panics
/// When that does not happen.
pub fn finish_rebalance(members: &mut [&mut ClassicMember]) {
    for member in &mut *members {
        member.joined();
    }
    members.iter_mut().for_each(|member| member.ask_to_sync());
    for member in &mut *members {
        assert_eq!(member.synced(), member.id.as_bytes());
    }
    let generations: Vec<i32> = members.iter().map(|member| member.generation).collect();
    assert!(generations.windows(2).all(|two| two[0] == two[1]), "{generations:?}");
}

/// What DescribeGroups says of a group once its broker has loaded it.
///
/// # Panics
/// When there is another error.
pub fn describe(kafka: &mut Kafka, group: &str) -> DescribedGroup {
    let request =
        DescribeGroupsRequest { groups: vec![group.to_owned()], ..DescribeGroupsRequest::default() };
    loop {
        let answer = kafka.ask(5, &request);
        let described = answer.groups.into_iter().next().expect("an answer for the group");
        match described.error_code {
            0 => return described,
            LOADING => std::thread::yield_now(),
            code => panic!("{group}: error {code}"),
        }
    }
}
