//! The members of a group of the consumer protocol (KIP-848): ConsumerGroupHeartbeat 1, each on a connection of its own, all
//! by one thread in rounds, because no answer waits.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Answers, Endpoint};
use crate::flexible::{FlexibleReader, FlexibleWriter};
use crate::load::commits::find_coordinator;
use crate::wire::check;

const ROUND_EVERY: Duration = Duration::from_millis(50);
const STABLE_TIMEOUT: Duration = Duration::from_secs(120);
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
const LEAVE_EPOCH: i32 = -1;

const UNKNOWN_MEMBER_ID: i16 = 25;
const FENCED_MEMBER_EPOCH: i16 = 110;
/// A coordinator that is not there yet, or still reads its groups.
const TRY_AGAIN: [i16; 3] = [14, 15, 16];

type TopicId = [u8; 16];
type Assignment = Vec<(TopicId, Vec<i32>)>;

/// The members.
pub struct ConsumerMembers<'a> {
    pub group: &'a str,
    pub topic: &'a str,
    /// Of the topic: stable is who owns each of them once.
    pub partitions: usize,
    members: Vec<Member>,
}

struct Member {
    id: String,
    stream: TcpStream,
    answers: Answers,
    epoch: i32,
    owned: Assignment,
    /// The broker does not know yet what it owns.
    is_news: bool,
}

impl<'a> ConsumerMembers<'a> {
    pub fn new(group: &'a str, topic: &'a str, partitions: usize) -> Self {
        Self { group, topic, partitions, members: Vec::new() }
    }

    /// Connects further members; they join with the next round.
    pub fn add(&mut self, endpoint: &Endpoint, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let (mut stream, mut answers) = (endpoint.connect()?, Answers::new());
            find_coordinator(&mut stream, &mut answers, self.group)?;
            let id = format!("{}-member-{:04}", self.group, self.members.len());
            self.members.push(Member { id, stream, answers, epoch: 0, owned: Vec::new(), is_news: true });
        }
        Ok(())
    }

    /// Sends heartbeats until all members are in one epoch and every partition has one owner.
    pub fn until_stable(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + STABLE_TIMEOUT;
        loop {
            let started = Instant::now();
            self.round()?;
            if self.is_stable() {
                return Ok(());
            }
            if deadline < Instant::now() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the group does not become stable"));
            }
            thread::sleep(ROUND_EVERY.saturating_sub(started.elapsed()));
        }
    }

    /// All members leave.
    pub fn leave(mut self) -> io::Result<()> {
        self.members.iter_mut().for_each(|member| member.epoch = LEAVE_EPOCH);
        self.round()
    }

    fn round(&mut self) -> io::Result<()> {
        for member in &mut self.members {
            let frame = member.heartbeat(self.group, self.topic);
            member.stream.write_all(&frame)?;
        }
        self.members.iter_mut().try_for_each(Member::receive)
    }

    fn is_stable(&self) -> bool {
        let epoch = self.members.first().map(|member| member.epoch);
        if !self.members.iter().all(|member| Some(member.epoch) == epoch && !member.is_news) {
            return false;
        }
        let owned = self.members.iter().flat_map(|member| &member.owned);
        let owned: Vec<(TopicId, i32)> =
            owned.flat_map(|(topic, partitions)| partitions.iter().map(|index| (*topic, *index))).collect();
        owned.len() == self.partitions && owned.iter().collect::<BTreeSet<_>>().len() == self.partitions
    }
}

impl Member {
    fn heartbeat(&mut self, group: &str, topic: &str) -> Vec<u8> {
        let is_joining = self.epoch == 0;
        let mut frame = FlexibleWriter::request(68, 1);
        frame.string(group);
        frame.string(&self.id);
        frame.i32(self.epoch);
        frame.null(); // no static member
        frame.null(); // no rack
        frame.i32(if is_joining { REBALANCE_TIMEOUT_MS } else { -1 });
        if is_joining {
            frame.count(1);
            frame.string(topic);
        } else {
            frame.null();
        }
        frame.null(); // no pattern
        frame.null(); // the broker's assignor
        if is_joining || std::mem::take(&mut self.is_news) {
            frame.count(self.owned.len());
            for (topic, partitions) in &self.owned {
                frame.raw(topic);
                frame.count(partitions.len());
                partitions.iter().for_each(|index| frame.i32(*index));
                frame.no_tags();
            }
        } else {
            frame.null();
        }
        frame.no_tags();
        frame.finish()
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut answer = FlexibleReader::new(self.answers.next(&mut self.stream)?)?;
        answer.i32()?;
        match answer.i16()? {
            0 => {}
            UNKNOWN_MEMBER_ID | FENCED_MEMBER_EPOCH => {
                (self.epoch, self.is_news) = (0, true);
                self.owned.clear();
                return Ok(());
            }
            code if TRY_AGAIN.contains(&code) => {
                self.is_news = true;
                return Ok(());
            }
            code => return check(code, "ConsumerGroupHeartbeat"),
        }
        answer.string()?;
        answer.string()?;
        self.epoch = answer.i32()?;
        answer.i32()?;
        let has_assignment = 0 <= answer.i8()?;
        if !has_assignment {
            return Ok(());
        }
        let mut assigned = Vec::new();
        for _ in 0..answer.count()? {
            let topic = answer.raw()?;
            let partitions: io::Result<Vec<i32>> = (0..answer.count()?).map(|_| answer.i32()).collect();
            assigned.push((topic, partitions?));
            answer.skip_tags()?;
        }
        self.is_news = self.owned != assigned;
        self.owned = assigned;
        Ok(())
    }
}
