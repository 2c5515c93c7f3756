//! A member of a classic group: JoinGroup 5, SyncGroup 3, Heartbeat 3, on a connection of its own.

use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::connection::{Answers, Endpoint, exchange};
use crate::load::board::Board;
use crate::load::commits::find_coordinator;
use crate::wire::{FrameReader, FrameWriter, check};

const HEARTBEAT_EVERY: Duration = Duration::from_millis(50);
const SESSION_TIMEOUT_MS: i32 = 30_000;
const REBALANCE_TIMEOUT_MS: i32 = 60_000;

const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
/// A coordinator that is not there yet, or still reads its groups.
const TRY_AGAIN: [i16; 3] = [14, 15, 16];
/// Like a subscription to one topic, to the broker a number of bytes.
const SUBSCRIPTION: [u8; 32] = [7; 32];
/// Like an assignment of a few partitions.
const ASSIGNMENT: [u8; 48] = [9; 48];

/// A member.
pub struct ClassicMember<'a> {
    group: &'a str,
    number: usize,
    board: &'a Board,
    stream: TcpStream,
    answers: Answers,
    member_id: String,
    generation: i32,
}

impl<'a> ClassicMember<'a> {
    pub fn connect(endpoint: &Endpoint, group: &'a str, number: usize, board: &'a Board) -> io::Result<Self> {
        let (mut stream, mut answers) = (endpoint.connect()?, Answers::new());
        find_coordinator(&mut stream, &mut answers, group)?;
        Ok(Self { group, number, board, stream, answers, member_id: String::new(), generation: -1 })
    }

    /// Joins, and again whenever the group rebalances, until the board is stopped. Then leaves.
    pub fn run(mut self) -> io::Result<()> {
        while !self.board.is_stopped() {
            let Some(members) = self.join()? else { continue };
            if !self.sync(&members)? {
                continue;
            }
            self.board.settle(self.number, self.generation);
            while !self.board.is_stopped() && self.heartbeat()? {
                thread::sleep(HEARTBEAT_EVERY);
            }
        }
        self.leave()
    }

    /// The members to assign to, of whom there are some for the leader alone; none if it has to join again.
    fn join(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut frame = FrameWriter::request(11, 5);
        frame.string(self.group);
        frame.i32(SESSION_TIMEOUT_MS);
        frame.i32(REBALANCE_TIMEOUT_MS);
        frame.string(&self.member_id);
        frame.i16(-1);
        frame.string("consumer");
        frame.count(1);
        frame.string("range");
        frame.bytes(&SUBSCRIPTION);
        let mut answer = FrameReader::new(exchange(&mut self.stream, &mut self.answers, &frame.finish())?);
        answer.i32()?;
        answer.i32()?;
        let code = answer.i16()?;
        self.generation = answer.i32()?;
        answer.string()?;
        answer.string()?;
        let member_id = answer.string()?.to_owned();
        match code {
            0 | MEMBER_ID_REQUIRED => self.member_id = member_id,
            UNKNOWN_MEMBER_ID => self.member_id.clear(),
            REBALANCE_IN_PROGRESS => {}
            code if TRY_AGAIN.contains(&code) => thread::sleep(HEARTBEAT_EVERY),
            code => check(code, "JoinGroup")?,
        }
        if code != 0 {
            return Ok(None);
        }
        let mut members = Vec::new();
        for _ in 0..answer.count()? {
            members.push(answer.string()?.to_owned());
            answer.string()?;
            answer.bytes()?;
        }
        Ok(Some(members))
    }

    /// Whether it has an assignment.
    fn sync(&mut self, members: &[String]) -> io::Result<bool> {
        let mut frame = FrameWriter::request(14, 3);
        frame.string(self.group);
        frame.i32(self.generation);
        frame.string(&self.member_id);
        frame.i16(-1);
        frame.count(members.len());
        for member in members {
            frame.string(member);
            frame.bytes(&ASSIGNMENT);
        }
        self.call(frame, "SyncGroup")
    }

    /// Whether all is as it was.
    fn heartbeat(&mut self) -> io::Result<bool> {
        let mut frame = FrameWriter::request(12, 3);
        frame.string(self.group);
        frame.i32(self.generation);
        frame.string(&self.member_id);
        frame.i16(-1);
        self.call(frame, "Heartbeat")
    }

    fn leave(&mut self) -> io::Result<()> {
        let mut frame = FrameWriter::request(13, 2);
        frame.string(self.group);
        frame.string(&self.member_id);
        self.call(frame, "LeaveGroup").map(drop)
    }

    /// Sends a request whose answer begins with a throttle time and an error; false for one that joining again mends.
    fn call(&mut self, frame: FrameWriter, what: &str) -> io::Result<bool> {
        let mut answer = FrameReader::new(exchange(&mut self.stream, &mut self.answers, &frame.finish())?);
        answer.i32()?;
        answer.i32()?;
        match answer.i16()? {
            0 => Ok(true),
            REBALANCE_IN_PROGRESS | ILLEGAL_GENERATION => Ok(false),
            UNKNOWN_MEMBER_ID => {
                self.member_id.clear();
                Ok(false)
            }
            code => check(code, what).map(|()| false),
        }
    }
}
