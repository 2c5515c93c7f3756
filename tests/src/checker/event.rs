//! What a history consists of, and its text: one event a line, fields separated by a space.
//!
//! `docs/testing.md` lists the lines. A request and its answer are two events; the answer names the line of its request,
//! or, where only the time matters, the last line that was written before the request was sent (`since`).

use std::fmt;
use std::str::{FromStr, SplitAsciiWhitespace};

use thiserror::Error;

/// How a producer repeats itself, and so what its records must look like in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerKind {
    /// The broker numbers it: each batch is there once, in order, and none is missing between two others.
    Idempotent,
    /// Over one connection, never again what has no answer: in order.
    Ordered,
    /// One batch at a time, again until it is answered: in order, perhaps several times.
    Repeating,
}

/// A batch as a fetch returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBatch {
    /// Of its first record.
    pub offset: i64,
    /// How many offsets it takes.
    pub count: u32,
    /// Leader epoch.
    pub epoch: i32,
    /// Producer, and its number of the first record, as the payload says; `None` when it says nothing that makes sense.
    pub identity: Option<(u32, u64)>,
    /// Of all bytes but those that a broker sets.
    pub digest: u32,
}

/// An answered fetch; `batches` events follow, each a [`SeenBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Who asked.
    pub client: u32,
    /// Of which log.
    pub log: u32,
    /// Last event before the request was sent.
    pub since: u64,
    /// Offset that was asked for.
    pub from: i64,
    /// Log start.
    pub start: i64,
    /// High watermark.
    pub end: i64,
    /// How many batches came.
    pub batches: u32,
}

/// Which end of a log a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionKind {
    /// Log start.
    Start,
    /// High watermark.
    End,
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A log gets a number. `retention`: its start may move without anybody asking.
    Log { log: u32, topic: String, partition: i32, retention: bool },
    /// A producer gets a number.
    Producer { producer: u32, kind: ProducerKind },
    /// Before a batch is sent, for the first time or again. `sequence` is the producer's number of its first record.
    Send { producer: u32, log: u32, sequence: u64, count: u32, digest: u32 },
    /// The batch of that [`Event::Send`] was acknowledged.
    Acked { send: u64, offset: i64 },
    /// It was refused: it is certain that it was not appended.
    Refused { send: u64, code: i16 },
    /// A fetch was answered.
    Fetched(Fetched),
    /// A batch of that answer.
    Batch(SeenBatch),
    /// The log start or the high watermark, from another request than a fetch.
    Position { log: u32, since: u64, kind: PositionKind, offset: i64 },
    /// The leader epoch of a log, as metadata have it.
    Leader { log: u32, since: u64, epoch: i32 },
    /// Where a leader epoch ends (OffsetForLeaderEpoch).
    EpochEnd { log: u32, since: u64, epoch: i32, end: i64 },
    /// Before records below an offset are to be deleted.
    DeleteRecords { log: u32, below: i64 },
    /// They are, and this is the log start.
    RecordsDeleted { request: u64, start: i64 },
    /// Before a group commits an offset.
    Commit { group: u32, log: u32, offset: i64 },
    /// It is committed.
    Committed { request: u64 },
    /// A group's committed offset, as read.
    CommittedRead { group: u32, log: u32, since: u64, offset: i64 },
    /// Before a log is to be deleted.
    DeleteLog { log: u32 },
    /// It is.
    LogDeleted { request: u64 },
    /// The broker is dead and all connections are closed: what has no answer by now will get none.
    Crash,
    /// A broker serves again.
    Start,
}

/// A line that is no event.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// It ends too early.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has no such value.
    #[error("{text:?} is no {field}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is there.
        text: String,
    },
    /// It goes on.
    #[error("{0:?} is more than the line should have")]
    TooMuch(String),
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { log, topic, partition, retention } => {
                write!(out, "log {log} {topic} {partition} {}", u8::from(*retention))
            }
            Self::Producer { producer, kind } => write!(out, "producer {producer} {}", kind.letter()),
            Self::Send { producer, log, sequence, count, digest } => {
                write!(out, "s {producer} {log} {sequence} {count} {digest:x}")
            }
            Self::Acked { send, offset } => write!(out, "a {send} {offset}"),
            Self::Refused { send, code } => write!(out, "r {send} {code}"),
            Self::Fetched(Fetched { client, log, since, from, start, end, batches }) => {
                write!(out, "f {client} {log} {since} {from} {start} {end} {batches}")
            }
            Self::Batch(SeenBatch { offset, count, epoch, identity, digest }) => match identity {
                Some((producer, sequence)) => {
                    write!(out, "b {offset} {count} {epoch} {producer} {sequence} {digest:x}")
                }
                None => write!(out, "b {offset} {count} {epoch} - - {digest:x}"),
            },
            Self::Position { log, since, kind, offset } => {
                write!(out, "position {log} {since} {} {offset}", kind.word())
            }
            Self::Leader { log, since, epoch } => write!(out, "leader {log} {since} {epoch}"),
            Self::EpochEnd { log, since, epoch, end } => {
                write!(out, "epoch-end {log} {since} {epoch} {end}")
            }
            Self::DeleteRecords { log, below } => write!(out, "delete-records {log} {below}"),
            Self::RecordsDeleted { request, start } => write!(out, "records-deleted {request} {start}"),
            Self::Commit { group, log, offset } => write!(out, "commit {group} {log} {offset}"),
            Self::Committed { request } => write!(out, "committed {request}"),
            Self::CommittedRead { group, log, since, offset } => {
                write!(out, "committed-read {group} {log} {since} {offset}")
            }
            Self::DeleteLog { log } => write!(out, "delete-log {log}"),
            Self::LogDeleted { request } => write!(out, "log-deleted {request}"),
            Self::Crash => write!(out, "crash"),
            Self::Start => write!(out, "start"),
        }
    }
}

impl FromStr for Event {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let mut fields = Fields(line.split_ascii_whitespace());
        let event = fields.event()?;
        match fields.0.next() {
            Some(more) => Err(ParseError::TooMuch(more.to_owned())),
            None => Ok(event),
        }
    }
}

struct Fields<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Fields<'a> {
    fn event(&mut self) -> Result<Event, ParseError> {
        let word = self.text("kind of event")?;
        Ok(match word {
            "s" => Event::Send {
                producer: self.number("producer")?,
                log: self.number("log")?,
                sequence: self.number("sequence")?,
                count: self.number("count")?,
                digest: self.digest()?,
            },
            "a" => Event::Acked { send: self.number("line of a send")?, offset: self.number("offset")? },
            "r" => Event::Refused { send: self.number("line of a send")?, code: self.number("error code")? },
            "f" => Event::Fetched(Fetched {
                client: self.number("client")?,
                log: self.number("log")?,
                since: self.number("line before the request")?,
                from: self.number("offset asked for")?,
                start: self.number("log start")?,
                end: self.number("high watermark")?,
                batches: self.number("count of batches")?,
            }),
            "b" => Event::Batch(SeenBatch {
                offset: self.number("offset")?,
                count: self.number("count")?,
                epoch: self.number("leader epoch")?,
                identity: self.identity()?,
                digest: self.digest()?,
            }),
            _ => self.rare_event(word)?,
        })
    }

    fn rare_event(&mut self, word: &str) -> Result<Event, ParseError> {
        Ok(match word {
            "log" => Event::Log {
                log: self.number("log")?,
                topic: self.text("topic")?.to_owned(),
                partition: self.number("partition")?,
                retention: self.number::<u8>("retention")? != 0,
            },
            "producer" => Event::Producer { producer: self.number("producer")?, kind: self.producer_kind()? },
            "position" => Event::Position {
                log: self.number("log")?,
                since: self.number("line before the request")?,
                kind: self.position_kind()?,
                offset: self.number("offset")?,
            },
            "leader" => Event::Leader {
                log: self.number("log")?,
                since: self.number("line before the request")?,
                epoch: self.number("leader epoch")?,
            },
            "epoch-end" => Event::EpochEnd {
                log: self.number("log")?,
                since: self.number("line before the request")?,
                epoch: self.number("leader epoch")?,
                end: self.number("offset")?,
            },
            "delete-records" => {
                Event::DeleteRecords { log: self.number("log")?, below: self.number("offset")? }
            }
            "records-deleted" => Event::RecordsDeleted {
                request: self.number("line of a request")?,
                start: self.number("offset")?,
            },
            "commit" => Event::Commit {
                group: self.number("group")?,
                log: self.number("log")?,
                offset: self.number("offset")?,
            },
            "committed" => Event::Committed { request: self.number("line of a request")? },
            "committed-read" => Event::CommittedRead {
                group: self.number("group")?,
                log: self.number("log")?,
                since: self.number("line before the request")?,
                offset: self.number("offset")?,
            },
            "delete-log" => Event::DeleteLog { log: self.number("log")? },
            "log-deleted" => Event::LogDeleted { request: self.number("line of a request")? },
            "crash" => Event::Crash,
            "start" => Event::Start,
            _ => return Err(wrong("kind of event", word)),
        })
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, ParseError> {
        self.0.next().ok_or(ParseError::Missing(field))
    }

    fn number<T: FromStr>(&mut self, field: &'static str) -> Result<T, ParseError> {
        let text = self.text(field)?;
        text.parse().map_err(|_| wrong(field, text))
    }

    fn digest(&mut self) -> Result<u32, ParseError> {
        let text = self.text("digest")?;
        u32::from_str_radix(text, 16).map_err(|_| wrong("digest", text))
    }

    fn identity(&mut self) -> Result<Option<(u32, u64)>, ParseError> {
        match (self.text("producer")?, self.text("sequence")?) {
            ("-", "-") => Ok(None),
            (producer, sequence) => Ok(Some((
                producer.parse().map_err(|_| wrong("producer", producer))?,
                sequence.parse().map_err(|_| wrong("sequence", sequence))?,
            ))),
        }
    }

    fn producer_kind(&mut self) -> Result<ProducerKind, ParseError> {
        let text = self.text("kind of producer")?;
        ProducerKind::ALL
            .into_iter()
            .find(|kind| kind.letter() == text)
            .ok_or_else(|| wrong("kind of producer", text))
    }

    fn position_kind(&mut self) -> Result<PositionKind, ParseError> {
        match self.text("start or end")? {
            "start" => Ok(PositionKind::Start),
            "end" => Ok(PositionKind::End),
            text => Err(wrong("start or end", text)),
        }
    }
}

impl ProducerKind {
    const ALL: [Self; 3] = [Self::Idempotent, Self::Ordered, Self::Repeating];

    fn letter(self) -> &'static str {
        match self {
            Self::Idempotent => "idempotent",
            Self::Ordered => "ordered",
            Self::Repeating => "repeating",
        }
    }
}

impl PositionKind {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

fn wrong(field: &'static str, text: &str) -> ParseError {
    ParseError::Field { field, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Event, Fetched, ParseError, PositionKind, ProducerKind, SeenBatch};

    #[test]
    fn every_event_comes_back_from_its_line() {
        let fetched = Fetched { client: 1, log: 2, since: 3, from: 4, start: 0, end: 9, batches: 2 };
        let seen = SeenBatch { offset: 4, count: 5, epoch: 1, identity: Some((7, 8)), digest: 0xdead };
        let events = [
            Event::Log { log: 1, topic: "t.x".to_owned(), partition: 3, retention: true },
            Event::Producer { producer: 1, kind: ProducerKind::Repeating },
            Event::Send { producer: 1, log: 2, sequence: 3, count: 4, digest: 0xffff_ffff },
            Event::Acked { send: 5, offset: -1 },
            Event::Refused { send: 5, code: 56 },
            Event::Fetched(fetched),
            Event::Batch(seen),
            Event::Batch(SeenBatch { identity: None, ..seen }),
            Event::Position { log: 1, since: 2, kind: PositionKind::Start, offset: 3 },
            Event::Position { log: 1, since: 2, kind: PositionKind::End, offset: 3 },
            Event::Leader { log: 1, since: 2, epoch: 3 },
            Event::EpochEnd { log: 1, since: 2, epoch: 3, end: 4 },
            Event::DeleteRecords { log: 1, below: 2 },
            Event::RecordsDeleted { request: 1, start: 2 },
            Event::Commit { group: 1, log: 2, offset: 3 },
            Event::Committed { request: 1 },
            Event::CommittedRead { group: 1, log: 2, since: 3, offset: 4 },
            Event::DeleteLog { log: 1 },
            Event::LogDeleted { request: 1 },
            Event::Crash,
            Event::Start,
        ];
        for event in events {
            assert_eq!(event.to_string().parse(), Ok(event));
        }
    }

    #[test]
    fn what_is_no_event_is_said() {
        let error = |line: &str| line.parse::<Event>().expect_err("no event").to_string();
        assert_eq!(error(""), "kind of event is missing");
        assert_eq!(error("a 1"), "offset is missing");
        assert_eq!(error("a 1 x"), "\"x\" is no offset");
        assert_eq!("crash 1".parse::<Event>(), Err(ParseError::TooMuch("1".to_owned())));
    }
}
